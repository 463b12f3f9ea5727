"""When a master without events is asked again: soon after a change, ever later while nothing happens or it is away."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

FIRST_SECONDS = 1.0
AWAY_FACTOR = 4.0  # a master that is away is asked that much less often than a quiet one
_STEP = 0.5  # how soon a wake-up is seen


@dataclass
class Pace:
    """The next delay: doubled while nothing changes up to ``period``, while the master fails up to four times that.

    With jitter, so that the nodes of one master do not come together.
    """

    period: float
    bound: float = FIRST_SECONDS

    def changed(self) -> None:
        """Something happened: more may follow."""
        self.bound = min(FIRST_SECONDS, self.period)

    def quiet(self) -> None:
        """Nothing did."""
        self.bound = min(self.bound * 2, self.period)

    def failed(self) -> None:
        """No answer."""
        self.bound = min(self.bound * 2, self.period * AWAY_FACTOR)

    def delay(self, uniform: Callable[[float, float], float] = random.uniform) -> float:
        """Seconds to wait now."""
        return uniform(self.bound / 2, self.bound)


def wait(seconds: float, stop: threading.Event, wake: threading.Event) -> bool:
    """Wait, less when ``stop`` or ``wake`` is set; whether it was ``wake``."""
    left = seconds
    while left > 0 and not stop.is_set() and not wake.is_set():
        step = min(left, _STEP)
        stop.wait(step)
        left -= step
    woken = wake.is_set()
    wake.clear()
    return woken
