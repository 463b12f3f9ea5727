"""What a build does now, told from its :class:`~slapos.build.job.Progress`: pure, for whoever shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slapos.build.job import ENDINGS, Progress

_VERBS = {"start": "looking at", "update": "looking at", "fetch": "fetching", "pull": "fetching"}
_BUILDING = "building"
NAMED = 3
"""So many parts are named in one sentence."""


@dataclass(frozen=True)
class RunningPart:
    """A part at ``stage`` since it began (``begun``, monotonic seconds); ``expected`` seconds of the last time."""

    name: str
    stage: str
    begun: float
    expected: float | None = None

    def seconds(self, now: float) -> float:
        """Since it began."""
        return max(0.0, now - self.begun)

    def rest(self, now: float) -> float | None:
        """Seconds to go; None when it was never built before."""
        return None if self.expected is None else max(0.0, self.expected - self.seconds(now))


@dataclass
class UnderWay:
    """``expected``: seconds of each part in the last build; ``begun``: when this one began (monotonic seconds)."""

    expected: Mapping[str, float]
    begun: float
    running: dict[str, RunningPart] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    last: Progress | None = None

    def take(self, progress: Progress, now: float) -> tuple[RunningPart, ...]:
        """One step more; the parts that ended with it, whose ending is now in ``ended``."""
        self.last = progress
        over = []
        if not progress.beside:
            over = [self._end(name, "done") for name in list(self.running) if name != progress.part]
            if progress.part in self.ended:  # made before the loop, which comes to it once more
                return tuple(over)
        before = self.running.get(progress.part)
        if progress.stage in ENDINGS:
            self.running.setdefault(progress.part, RunningPart(progress.part, progress.stage, now))
            return (*over, self._end(progress.part, progress.stage))
        begun = now if before is None else before.begun
        expected = self.expected.get(progress.part, progress.expected)
        self.running[progress.part] = RunningPart(progress.part, progress.stage, begun, expected)
        return tuple(over)

    def _end(self, name: str, ending: str) -> RunningPart:
        self.ended[name] = ending
        return self.running.pop(name)

    def sentence(self, now: float) -> str:
        """``building openssl and pcre2 (3 of 7), 40 s, about 90 s to go``."""
        if self.last is None:
            return "the build begins"
        if not self.running:
            return f"{self._count()}, {now - self.begun:.0f} s"
        text = f"{self._doing()} ({self._count()}), {now - self.begun:.0f} s"
        rest = self.rest(now)
        return text if rest is None else f"{text}, about {rest:.0f} s to go"

    def rest(self, now: float) -> float | None:
        """Seconds to go; None when a part that runs was never built before.

        What is left is done as many at a time as now, and not sooner than the longest of those that run.
        """
        running = [part.rest(now) for part in self.running.values()]
        known = [seconds for seconds in running if seconds is not None]
        if not known or len(known) < len(running):
            return None
        past = self.ended.keys() | self.running.keys()
        later = sum(seconds for part, seconds in self.expected.items() if part not in past)
        return max(*known, 0.0, (sum(known) + later) / len(running))

    def _count(self) -> str:
        assert self.last is not None
        if not self.last.beside:
            return f"{self.last.index} of {self.last.total}"
        return f"{len(self.ended)} of {self.last.total} parts are done"

    def _doing(self) -> str:
        verbs = {_VERBS.get(part.stage, _BUILDING) for part in self.running.values()}
        verb = verbs.pop() if len(verbs) == 1 else _BUILDING
        names = list(self.running)
        shown, more = names[:NAMED], len(names) - NAMED
        if more > 0:
            return f"{verb} {', '.join(shown)} and {more} more"
        return f"{verb} {' and '.join(filter(None, (', '.join(shown[:-1]), shown[-1])))}"
