"""The schedule: at once on a change, back-off after failures, one worker per subject."""

from __future__ import annotations

import threading

from slapos.node.schedule import Schedule, Subject, backoff_delay
from slapos.system.clock import ManualClock, SystemClock

A, B = Subject("partition", "a"), Subject("partition", "b")
KINDS = frozenset({"partition"})


def schedule() -> tuple[Schedule, ManualClock]:
    clock = ManualClock()
    return Schedule(clock, jitter=lambda: 0.0), clock


def take(made: Schedule) -> Subject | None:
    return made.take(KINDS, timeout=0.0)


def test_only_subjects_of_the_kind_are_handed_out() -> None:
    made, _ = schedule()
    made.trigger(Subject("release", "r"))
    assert take(made) is None
    assert made.take(frozenset({"release"}), timeout=0.0) == Subject("release", "r")


def test_no_subject_twice_at_a_time_and_a_change_meanwhile_is_not_lost() -> None:
    made, _ = schedule()
    made.trigger(A)
    assert take(made) == A
    made.trigger(A)
    assert take(made) is None
    made.settle(A, "failed", 0.0)
    assert take(made) == A, "the change came while it was processed"
    assert made.failures(A) == 0, "what failed was the old state"


def test_failures_wait_longer_and_longer_and_delay_nobody_else() -> None:
    made, clock = schedule()
    made.trigger(A, B)
    assert take(made) == A
    made.settle(A, "failed", 0.0)
    assert take(made) == B
    made.settle(B, "ok", 60.0)
    waits = []
    for _ in range(4):
        begin = clock.now
        while take(made) is None:
            clock.now += 0.25
        waits.append(clock.now - begin)
        made.settle(A, "failed", 0.0)
    assert waits == [0.5, 1.0, 2.0, 4.0]


def test_waiting_is_not_failing() -> None:
    made, clock = schedule()
    made.trigger(A)
    for _ in range(3):
        assert take(made) == A
        made.settle(A, "waiting", 300.0)
        assert made.failures(A) == 0
        clock.now += 300.0


def test_a_change_ends_the_wait_at_once() -> None:
    made, _ = schedule()
    made.trigger(A)
    take(made)
    made.settle(A, "failed", 0.0)
    assert take(made) is None
    made.trigger(A)
    assert take(made) == A


def test_backoff_is_bounded_and_jittered() -> None:
    assert backoff_delay(1000, 0.0) == 300.0
    assert backoff_delay(1, 1.0) == 0.25


def test_close_wakes_the_workers() -> None:
    made = Schedule(SystemClock())
    ended: list[Subject | None] = []
    thread = threading.Thread(target=lambda: ended.append(made.take(KINDS)))
    thread.start()
    made.close()
    thread.join(5)
    assert ended == [None]


def test_trigger_wakes_a_worker_at_once() -> None:
    made = Schedule(SystemClock())
    got: list[Subject | None] = []
    thread = threading.Thread(target=lambda: got.append(made.take(KINDS, timeout=30)))
    thread.start()
    made.trigger(B)
    thread.join(5)
    assert got == [B]
