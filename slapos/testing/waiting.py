"""Waiting in tests: for a condition, with a deadline, saying what was last seen when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

STEP_SECONDS = 0.05


def wait_for(
    look: Callable[[], T], seconds: float, what: str, *, until: Callable[[T], bool] = bool, step: float = STEP_SECONDS
) -> T:
    """The first value of ``look`` that ``until`` accepts (default: a true one).

    :raises AssertionError: after ``seconds``, with ``what`` and the last value.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = look()
        if until(value):
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s; last seen: {value!r}")
        time.sleep(step)
