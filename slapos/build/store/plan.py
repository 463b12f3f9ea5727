"""Which parts of a store may go, and in which order.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from slapos.model.text import size_text


@dataclass(frozen=True)
class Held:
    """A part as the plan sees it: ``name`` is ``part/digest``, ``needs`` the names of others, ``size`` bytes.

    ``since``: UTC epoch seconds from which on it counts as unused when nothing uses it now.
    """

    name: str
    needs: tuple[str, ...]
    size: int
    since: float


@dataclass(frozen=True)
class Unused:
    """A part to be removed, or kept though nobody uses it; ``reason`` for people."""

    name: str
    size: int
    reason: str


@dataclass(frozen=True)
class RemovalPlan:
    """``removed``: no part comes after one that it needs, so that a cut removal leaves no part without its needs;
    ``kept``: not used, but too young to go."""

    removed: tuple[Unused, ...]
    kept: tuple[Unused, ...]
    used: int

    @property
    def sentence(self) -> str:
        """For people."""
        size = size_text(sum(part.size for part in self.removed))
        return f"{self.used} parts are used, {len(self.removed)} are not ({size}), {len(self.kept)} are kept for now."


def plan_removal(held: Collection[Held], used: Iterable[str], at: float, keep_seconds: float) -> RemovalPlan:
    """What nobody uses, directly or through a part that is used, and has been so for ``keep_seconds`` at ``at``."""
    known = {part.name: part for part in held}
    needs = {part.name: part.needs for part in held}
    needed = closure_of(needs, used)
    unused = [part for part in known.values() if part.name not in needed]
    young = {part.name for part in unused if at - part.since < keep_seconds}
    spared = closure_of(needs, young) - needed
    going = {part.name: part.needs for part in unused if part.name not in spared}
    return RemovalPlan(
        removed=tuple(Unused(name, known[name].size, "no release uses it") for name in _users_first(going)),
        kept=tuple(
            Unused(part.name, part.size, "it is young" if part.name in young else "a young part needs it")
            for part in unused
            if part.name in spared
        ),
        used=len(known) - len(unused),
    )


def closure_of(needs: Mapping[str, Iterable[str]], names: Iterable[str]) -> set[str]:
    """Those of ``names`` that are known to ``needs`` (part → what it needs), with all that they need."""
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in needs and name not in found:
            found.add(name)
            todo.extend(needs[name])
    return found


def _users_first(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """Each part before those that it needs; with a cycle, which no build makes, in some order."""
    ended: dict[str, None] = {}
    begun: set[str] = set()
    todo = [(name, False) for name in reversed([*needs])]
    while todo:
        name, all_needs_ended = todo.pop()
        if all_needs_ended:
            ended[name] = None
        elif name not in begun:
            begun.add(name)
            todo.append((name, True))
            todo += [(need, False) for need in needs[name] if need in needs]
    return list(reversed(ended))
