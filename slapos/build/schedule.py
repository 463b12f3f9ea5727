"""In which order tasks begin that need each other: pure.

The one with the longest way to the end begins first, so that what others wait for is not left for last.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from slapos.model.errors import InputError

UNKNOWN_SECONDS = 10.0
"""Of a task that nobody knows, where no other is known either."""


@dataclass(frozen=True)
class Step:
    """A task as the schedule sees it; ``expected`` seconds of the last time, None when there was none."""

    name: str
    needs: frozenset[str] = frozenset()
    expected: float | None = None


@dataclass(frozen=True)
class Schedule:
    """The names in the order of their urgency; ``needs`` of each, of those that are tasks; ``ways`` in seconds."""

    order: tuple[str, ...]
    needs: Mapping[str, frozenset[str]]
    ways: Mapping[str, float]

    def ready(self, done: Collection[str], begun: Collection[str]) -> list[str]:
        """What may begin now, most urgent first; ``begun`` holds what runs or has ended, however."""
        return [name for name in self.order if name not in begun and self.needs[name].issubset(done)]

    def blocked(self, bad: Collection[str]) -> dict[str, str]:
        """What can never begin, with the one of ``bad`` that it needs, directly or not."""
        found: dict[str, str] = {}
        for name in self.order:  # whatever is needed has the longer way, so it comes first
            culprits = [found.get(need, need) for need in sorted(self.needs[name]) if need in bad or need in found]
            if culprits and name not in bad:
                found[name] = culprits[0]
        return found


def make_schedule(steps: Iterable[Step]) -> Schedule:
    """Of tasks with different names; a need that is no task counts as met.

    :raises InputError: ``cycle`` when tasks need each other in a circle.
    """
    known = {step.name: step for step in steps}
    needs = {name: step.needs & known.keys() for name, step in known.items()}
    told = [step.expected for step in known.values() if step.expected is not None]
    usual = statistics.median(told) if told else UNKNOWN_SECONDS
    ways: dict[str, float] = {}
    for name in reversed(_needed_first(needs)):
        seconds = known[name].expected
        own = usual if seconds is None else seconds
        ways[name] = own + max((ways[user] for user in ways if name in needs[user]), default=0.0)
    place = {name: index for index, name in enumerate(_needed_first(needs))}
    return Schedule(tuple(sorted(known, key=lambda name: (-ways[name], place[name]))), needs, ways)


def _needed_first(needs: Mapping[str, frozenset[str]]) -> list[str]:
    order: dict[str, None] = {}
    left = dict(needs)
    while left:
        free = [name for name, wanted in left.items() if order.keys() >= wanted]
        if not free:
            raise _cycle(left)
        for name in free:
            order[name] = None
            del left[name]
    return list(order)


def _cycle(left: Mapping[str, frozenset[str]]) -> InputError:
    """What is left always needs something that is left: following that leads into the circle."""
    way = [min(left)]
    while way[-1] not in way[:-1]:
        way.append(min(left[way[-1]] & left.keys()))
    circle = way[way.index(way[-1]) :]
    return InputError(
        f"These parts need each other in a circle: {' needs '.join(circle)}.",
        reference="cycle-of-parts",
        context={"parts": circle[:-1]},
    )
