"""How long and how often a call is tried again: exponential back-off with full jitter, bounded in time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Delays double from ``first`` to at most ``longest`` seconds; no new try after ``total`` seconds."""

    total: float = 20.0
    first: float = 0.1
    longest: float = 3.0


def delays(patience: Patience, clock: Callable[[], float] = time.monotonic) -> Iterator[float]:
    """Seconds to sleep before each further try; ends when the time is over."""
    end = clock() + patience.total
    for step in backoff(patience):
        if clock() + step >= end:
            return
        yield step


def backoff(patience: Patience) -> Iterator[float]:
    """Random delays with a growing bound, for ever."""
    bound = patience.first
    while True:
        yield random.uniform(bound / 2, bound)
        bound = min(bound * 2, patience.longest)
