"""Processor time of partitions: nothing is counted twice, nothing goes down."""

from __future__ import annotations

import json
import os
import sys
import time

from hypothesis import given
from hypothesis import strategies as st

from slapos.node.metrics.processes import Ledger, MarkedOwners, ProcessUsage, ledger_from_data
from slapos.node.supervisor.spawn import MARK
from slapos.system.process_use import ProcessUse
from slapos.system.processes import Launch, start
from slapos.testing.waiting import wait_for

BURN = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\n"


def use(pid: int, ticks: int, waited: int = 0, ppid: int = 1, start: int = 5) -> ProcessUse:
    return ProcessUse(pid, start, ppid, pid, 1000, True, ticks, waited, 4096)


def look(ledger: Ledger, *uses: ProcessUse, boot: str = "b") -> int:
    ledger.enter(uses, {item.key: "p" for item in uses}, boot)
    return ledger.ticks["p"]


def test_only_what_is_more_than_at_the_last_look_counts() -> None:
    ledger = Ledger()
    assert look(ledger, use(10, 100)) == 100
    assert look(ledger, use(10, 130), use(11, 7)) == 137


def test_a_child_that_was_waited_for_counts_once() -> None:
    ledger = Ledger()
    look(ledger, use(10, 100), use(11, 50, ppid=10), use(12, 20, ppid=11))
    assert ledger.ticks["p"] == 170
    assert look(ledger, use(10, 100, waited=90)) == 190  # 11 ended with 60, 12 with 30


def test_a_main_process_that_ended_keeps_what_was_seen() -> None:
    ledger = Ledger()
    look(ledger, use(10, 100))
    assert look(ledger) == 100
    assert look(ledger, use(10, 3, start=99)) == 103  # another process with the same number


def test_another_boot_begins_anew_and_keeps_the_sum() -> None:
    ledger = Ledger()
    look(ledger, use(10, 100))
    assert look(ledger, use(10, 5), boot="c") == 105


def test_the_next_daemon_goes_on_where_this_one_was() -> None:
    ledger = Ledger()
    look(ledger, use(10, 100))
    again = ledger_from_data(json.loads(json.dumps(ledger.as_data())))
    assert again == ledger
    assert look(again, use(10, 101)) == 101
    assert ledger_from_data({"seen": [[1]], "boot": "b", "ticks": {}}) == Ledger()


@given(
    st.lists(
        st.lists(st.tuples(st.integers(2, 6), st.integers(0, 50), st.integers(0, 50), st.integers(1, 6)), max_size=5),
        max_size=6,
    )
)
def test_it_never_goes_down(looks: list[list[tuple[int, int, int, int]]]) -> None:
    ledger, last = Ledger(), 0
    for rows in looks:
        uses = {pid: use(pid, ticks, waited, ppid) for pid, ticks, waited, ppid in rows}
        now = look(ledger, *uses.values())
        assert now >= last
        last = now


def test_real_processes_are_found_by_their_mark_and_their_session() -> None:
    prefix = f"/nowhere/{os.getpid()}/services/"
    child = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {BURN.format(60)!r}], env={{}})\n"
    program = child + BURN.format(0.3) + "time.sleep(60)"
    usage = ProcessUsage(ledger=Ledger(), owners=MarkedOwners(prefix=prefix, uid=os.geteuid()))
    usage.look()
    started = start([sys.executable, "-c", program], launch=Launch(environment={MARK: f"{prefix}slappart3:web"}))
    try:
        found = wait_for(
            usage.look, 20, "both are seen", until=lambda now: "slappart3" in now and now["slappart3"].processes == 2
        )
        assert found["slappart3"].resident_bytes > 2_000_000
        before = time.monotonic()
        wait_for(
            lambda: usage.look()["slappart3"].cpu_seconds, 30, "they used time", until=lambda seconds: seconds > 0.5
        )
        assert time.monotonic() - before < 30
    finally:
        os.killpg(started.pid, 9)
        started.wait()
    last = usage.look()["slappart3"]
    assert (last.processes, last.resident_bytes) == (0, 0)
    assert last.cpu_seconds > 0.5
