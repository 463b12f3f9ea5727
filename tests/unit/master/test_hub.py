"""The memory behind the events: nothing is missed, and what cannot be known is a reset."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from slapos.master.hub import Hub, Notice
from slapos.model.errors import Unavailable


def _in_loop(test: Callable[[], None]) -> Callable[[], None]:
    """The test runs in an event loop, as the hub does."""

    def run() -> None:
        async def inside() -> None:
            test()

        asyncio.run(inside())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def _hub(generation: int = 10, **limits: Any) -> Hub:
    hub = Hub(**limits)
    hub.start(generation)
    return hub


@_in_loop
def test_first_look_is_a_reset() -> None:
    hub = _hub()
    watch = hub.watch("a", None)
    assert hub.take(watch) == Notice("reset", 10)
    assert hub.take(watch) is None


@_in_loop
def test_only_the_subject_wakes() -> None:
    hub = _hub()
    watch, other = hub.watch("a", 10), hub.watch("b", 10)
    hub.publish(11, ["a"])
    assert watch.woken.is_set()
    assert not other.woken.is_set()
    assert hub.take(watch) == Notice("changed", 11)
    assert hub.take(other) is None


@_in_loop
def test_a_change_between_the_number_and_the_watch_is_told() -> None:
    hub = _hub()
    hub.publish(12, ["a"])
    assert hub.take(hub.watch("a", 11)) == Notice("changed", 12)
    assert hub.take(hub.watch("a", 12)) is None


@_in_loop
def test_several_changes_are_one_notice() -> None:
    hub = _hub()
    watch = hub.watch("a", 10)
    for generation in (11, 12, 13):
        hub.publish(generation, ["a"])
    assert hub.take(watch) == Notice("changed", 13)
    assert hub.take(watch) is None


@_in_loop
def test_numbers_before_the_start_or_from_the_future_reset() -> None:
    hub = _hub()
    for last in (0, 9, 11):
        assert hub.take(hub.watch("a", last)) == Notice("reset", 10)


@_in_loop
def test_forgotten_subjects_move_the_floor() -> None:
    hub = _hub(memory=2)
    for generation, subject in ((11, "a"), (12, "b"), (13, "c")):
        hub.publish(generation, [subject])
    assert hub.take(hub.watch("a", 10)) == Notice("reset", 13)
    assert hub.take(hub.watch("c", 11)) == Notice("changed", 13)


@_in_loop
def test_missed_changes_reset_everybody() -> None:
    hub = _hub()
    watch = hub.watch("a", 10)
    hub.publish(20, [])
    assert watch.woken.is_set()
    assert hub.take(watch) == Notice("reset", 20)
    assert hub.take(hub.watch("a", 19)) == Notice("reset", 20)


@_in_loop
def test_a_project_changes_with_everything() -> None:
    hub = _hub()
    watch = hub.watch("project:main", 10)
    hub.publish(11, ["a"])
    assert watch.woken.is_set()
    assert hub.take(watch) == Notice("changed", 11)


@_in_loop
def test_older_generation_published_late_is_no_step_back() -> None:
    hub = _hub()
    hub.publish(12, ["a"])
    hub.publish(11, ["a"])
    assert hub.take(hub.watch("a", 11)) == Notice("changed", 12)


@_in_loop
def test_watches_are_bounded_and_given_back() -> None:
    hub = _hub(watches=2)
    first = hub.watch("a", 10)
    hub.watch("a", 10)
    with pytest.raises(Unavailable):
        hub.watch("b", 10)
    hub.leave(first)
    hub.leave(first)
    hub.watch("b", 10)
    assert set(hub.watching) == {"a", "b"}


@_in_loop
def test_close_wakes_everybody() -> None:
    hub = _hub()
    watch = hub.watch("a", 10)
    hub.close()
    assert hub.closed
    assert watch.woken.is_set()
