"""What a build says of itself while it runs: ``building openssl (3 of 7), 40 s, about 90 s to go``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from slapos.build.job import Progress

SPEAK_SECONDS = 2.0
_VERBS = {"start": "looking at", "install": "building", "update": "looking at", "fetch": "fetching"}


@dataclass
class Forecast:
    """Which part is worked on since when, and how long the rest took in the last build.  Seconds, monotonic."""

    expected: Mapping[str, float]
    begun: float
    step: Progress | None = None
    step_begun: float = 0.0
    past: set[str] = field(default_factory=set)

    def take(self, progress: Progress, now: float) -> None:
        """Another step."""
        if self.step is None or self.step.part != progress.part:
            if self.step is not None:
                self.past.add(self.step.part)
            self.step_begun = now
        self.step = progress

    def sentence(self, now: float) -> str:
        """For people."""
        if self.step is None:
            return "the build begins"
        verb = _VERBS.get(self.step.stage, self.step.stage)
        text = f"{verb} {self.step.part} ({self.step.index} of {self.step.total}), {now - self.begun:.0f} s"
        rest = self.rest(now)
        return text if rest is None else f"{text}, about {rest:.0f} s to go"

    def rest(self, now: float) -> float | None:
        """Seconds to go; None when this part was never built before."""
        if self.step is None or self.step.part not in self.expected:
            return None
        current = max(0.0, self.expected[self.step.part] - (now - self.step_begun))
        later = sum(value for part, value in self.expected.items() if part not in self.past and part != self.step.part)
        return current + later


class Speaker:
    """Says the sentence at each new part and every two seconds, from a thread of its own, until it is left."""

    def __init__(self, *, expected: Mapping[str, float], say: Callable[[str], object]) -> None:
        self._forecast = Forecast(expected, time.monotonic())
        self._say = say
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._speak, name="build-speaker", daemon=True)

    def progress(self, progress: Progress) -> None:
        """One step of the engine."""
        with self._lock:
            self._forecast.take(progress, time.monotonic())

    def __enter__(self) -> Speaker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _speak(self) -> None:
        last = ""
        while not self._end.wait(SPEAK_SECONDS if last else 0.05):
            with self._lock:
                sentence = self._forecast.sentence(time.monotonic())
            if sentence != last:
                self._say(sentence)
                last = sentence
