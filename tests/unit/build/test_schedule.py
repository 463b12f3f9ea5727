"""What begins when, for tasks that need each other."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slapos.build.schedule import Step, make_schedule
from slapos.model.errors import InputError


def step(name: str, needs: str = "", expected: float | None = None) -> Step:
    return Step(name, frozenset(needs.split()), expected)


def test_the_longest_way_begins_first() -> None:
    steps = [
        step("zlib", "", 9),
        step("openssl", "", 60),
        step("pcre2", "", 12),
        step("nginx", "openssl pcre2 zlib", 30),
    ]
    schedule = make_schedule([*steps, step("popt", "", 8), step("logrotate", "popt", 6)])
    assert schedule.order == ("openssl", "pcre2", "zlib", "nginx", "popt", "logrotate")
    assert schedule.ways["zlib"] == 39
    assert schedule.ready((), ()) == ["openssl", "pcre2", "zlib", "popt"]
    assert schedule.ready({"zlib", "pcre2"}, {"zlib", "pcre2", "openssl"}) == ["popt"]


def test_who_was_never_built_counts_as_the_usual() -> None:
    schedule = make_schedule([step("a", "", 1), step("b", "", 20), step("c", "", 30), step("new")])
    assert schedule.ways["new"] == 20


def test_a_need_that_is_no_task_is_met() -> None:
    schedule = make_schedule([step("a", "present")])
    assert schedule.ready((), ()) == ["a"]


def test_what_needs_a_failed_one_is_blocked_by_it() -> None:
    schedule = make_schedule([step("a"), step("b", "a"), step("c", "b"), step("d")])
    assert schedule.blocked({"a"}) == {"b": "a", "c": "a"}


def test_a_circle_is_told() -> None:
    with pytest.raises(InputError, match="in a circle: b needs c needs b") as caught:
        make_schedule([step("a", "b"), step("b", "c"), step("c", "b"), step("d")])
    assert caught.value.reference == "cycle-of-parts"
    assert caught.value.context == {"parts": ["b", "c"]}


@st.composite
def graphs(draw: st.DrawFn) -> list[Step]:
    count = draw(st.integers(1, 12))
    steps = []
    for index in range(count):
        needs = draw(st.frozensets(st.sampled_from([f"t{other}" for other in range(index)] or ["none"]), max_size=4))
        expected = draw(st.none() | st.floats(0, 100))
        steps.append(Step(f"t{index}", needs, expected))
    return draw(st.permutations(steps))


@given(graphs(), st.integers(1, 4), st.integers(0, 2**32))
def test_whatever_fails_all_come_to_an_end(steps: list[Step], slots: int, seed: int) -> None:
    """Played as the executor does, each task failing one time in four."""
    chance, schedule = random.Random(seed), make_schedule(steps)
    needs = {item.name: item.needs & {other.name for other in steps} for item in steps}
    running: list[str] = []
    done: set[str] = set()
    failed: set[str] = set()
    while True:
        ready = schedule.ready(done, done | failed | set(running))
        for name in ready[: slots - len(running)]:
            assert needs[name] <= done
            running.append(name)
        if not running:
            break
        ended = running.pop(chance.randrange(len(running)))
        (failed if chance.random() < 0.25 else done).add(ended)
    blocked = schedule.blocked(failed)
    assert done | failed | blocked.keys() == {item.name for item in steps}
    assert not blocked.keys() & (done | failed)
    assert all(culprit in failed for culprit in blocked.values())
