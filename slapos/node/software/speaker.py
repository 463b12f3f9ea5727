"""Says what a build does while it runs (see :mod:`slapos.build.under_way`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from slapos.build.job import Progress
from slapos.build.under_way import UnderWay

SPEAK_SECONDS = 2.0


class Speaker:
    """Says the sentence at each new part and every two seconds, from a thread of its own, until it is left."""

    def __init__(self, *, expected: Mapping[str, float], say: Callable[[str], object]) -> None:
        self._build = UnderWay(expected, time.monotonic())
        self._say = say
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._speak, name="build-speaker", daemon=True)

    def progress(self, progress: Progress) -> None:
        """One step of the engine."""
        with self._lock:
            self._build.take(progress, time.monotonic())

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
                sentence = self._build.sentence(time.monotonic())
            if sentence != last:
                self._say(sentence)
                last = sentence
