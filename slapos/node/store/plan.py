"""What of a store may go from a node, and when.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from slapos.build.store.plan import Held, closure_of, plan_removal
from slapos.model.text import size_text
from slapos.node.plan import Action, Kind, Plan, Skip


@dataclass(frozen=True)
class StorePart:
    """``name`` is ``part/digest``, ``needs`` the names of others, ``size`` bytes, ``built_at`` UTC epoch seconds;
    ``ours``: its files belong to the user that builds, who else could not remove them."""

    name: str
    needs: tuple[str, ...] = ()
    size: int = 0
    built_at: float = 0.0
    ours: bool = True


@dataclass(frozen=True)
class ObservedStore:
    """A store as it is.

    ``used``: part → one of those that use it, for people; ``unused``: what the node remembers, part → UTC epoch seconds
    since when nothing uses it; ``left``: how many unfinished trees of killed builds there are.
    """

    root: str
    parts: tuple[StorePart, ...] = ()
    used: Mapping[str, str] = field(default_factory=dict)
    unused: Mapping[str, float] = field(default_factory=dict)
    left: int = 0


def plan_store(observed: ObservedStore, now: float, grace: float) -> Plan:
    """Parts that nothing uses go ``grace`` seconds after this was seen first; all that they need stays as long."""
    needs = {part.name: part.needs for part in observed.parts}
    foreign = [part.name for part in observed.parts if not part.ours]
    used = closure_of(needs, [*observed.used, *foreign])
    since = {part.name: known for part in observed.parts for known in _believed(observed, part, now)}
    held = [Held(part.name, part.needs, part.size, since.get(part.name, now)) for part in observed.parts]
    removal = plan_removal(held, used, now, grace)
    forgotten = [
        Action(Kind.SPARE_PART, name, _why_spared(observed, name, needs))
        for name in sorted(observed.unused)
        if name in used or name not in needs
    ]
    begun = [
        Action(Kind.MARK_PART, part.name, f"nothing uses its {size_text(part.size)}")
        for part in removal.kept
        if part.name not in since
    ]
    gone = [
        Action(Kind.REMOVE_PART, part.name, f"nothing {_since(since.get(part.name))}; {size_text(part.size)}")
        for part in removal.removed
    ]
    swept = [Action(Kind.SWEEP_STORE, observed.root, f"{observed.left} unfinished")] if observed.left else []
    skips = tuple(
        Skip(part.name, f"nothing {_since(since[part.name])}; {_until(since[part.name] + grace, now)}", waiting=True)
        for part in removal.kept
        if part.name in since
    )
    return Plan(observed.root, (*forgotten, *begun, *gone, *swept), skips)


def _believed(observed: ObservedStore, part: StorePart, now: float) -> Iterator[float]:
    """Since when the part is unused; nothing that clocks say which were wrong, then or before."""
    since = observed.unused.get(part.name)
    if since is not None and min(part.built_at, now) <= since <= now:
        yield since


def _why_spared(observed: ObservedStore, name: str, needs: Mapping[str, tuple[str, ...]]) -> str:
    if name not in needs:
        return "the store has it no more"
    return f"{observed.used[name]} uses it" if name in observed.used else "a part that stays needs it"


def _since(since: float | None) -> str:
    return "uses it" if since is None else f"has used it since {_date(since)}"


def _until(end: float, now: float) -> str:
    return f"it goes after {_date(end)}" if end > now else "it goes with the younger part that needs it"


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
