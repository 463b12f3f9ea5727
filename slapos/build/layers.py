"""Places the nodes of a graph in columns, so that each edge goes from left to right and few of them cross.  Pure.

The method of Sugiyama, Tagawa and Toda (1981): columns by the longest way, invisible nodes where an edge passes a
column, order within a column by the mean of the neighbours, then heights near these means.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_SWEEPS = 6
_PASSING = 0.4
"""Height that an edge takes where it passes a column; a node takes 1."""

Edge = tuple[str, str]


@dataclass
class Layout:
    """``columns``: names from top to bottom (names with a NUL are places where an edge passes); ``heights``: name →
    vertical centre, a node being 1 high; ``ways``: edge → the names on it, both ends included."""

    columns: list[list[str]] = field(default_factory=list)
    heights: dict[str, float] = field(default_factory=dict)
    ways: dict[Edge, list[str]] = field(default_factory=dict)


def place(names: Iterable[str], edges: Iterable[Edge]) -> Layout:
    """Where each name lies; edges of a circle that lead back are drawn backwards."""
    known = dict.fromkeys(names)
    wanted = [(left, right) for left, right in dict.fromkeys(edges) if left in known and right in known]
    column = _column_of(list(known), _without_circles(list(known), wanted))
    layout = Layout([[] for _ in range(max(column.values(), default=-1) + 1)])
    for name in known:
        layout.columns[column[name]].append(name)
    for left, right in wanted:
        layout.ways[left, right] = _way(layout, left, right, column)
    beside = _neighbours(layout.ways.values())
    _order(layout, beside)
    _set_heights(layout, beside)
    return layout


def _without_circles(names: Sequence[str], edges: Sequence[Edge]) -> list[Edge]:
    """Without the edges that close a circle when one walks from the first name on."""
    after: dict[str, list[str]] = {name: [] for name in names}
    for left, right in edges:
        after[left].append(right)
    kept: list[Edge] = []
    done: dict[str, bool] = {}  # False: on the way to it
    for root in names:
        todo = [] if root in done else [root]
        while todo:
            name = todo[-1]
            done.setdefault(name, False)
            if not after[name]:
                done[name] = True
                todo.pop()
                continue
            right = after[name].pop(0)
            if done.get(right, True):
                kept.append((name, right))
            if right not in done:
                todo.append(right)
    return kept


def _column_of(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    column = dict.fromkeys(names, 0)
    before: dict[str, int] = dict.fromkeys(names, 0)
    after: dict[str, list[str]] = {name: [] for name in names}
    for left, right in edges:
        before[right] += 1
        after[left].append(right)
    ready = [name for name in names if not before[name]]
    for name in ready:  # grows while it is walked
        for right in after[name]:
            column[right] = max(column[right], column[name] + 1)
            before[right] -= 1
            if not before[right]:
                ready.append(right)
    return column


def _way(layout: Layout, left: str, right: str, column: Mapping[str, int]) -> list[str]:
    """The names of an edge, with one of its own in each column that it passes."""
    first, last = column[left], column[right]
    step = 1 if first < last else -1
    between = [f"{left}\0{right}\0{number}" for number in range(first + step, last, step)]
    for number, name in zip(range(first + step, last, step), between, strict=True):
        layout.columns[number].append(name)
    return [left, *between, right]


def _neighbours(ways: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for way in ways:
        for left, right in itertools.pairwise(way):
            found.setdefault(left, []).append(right)
            found.setdefault(right, []).append(left)
    return found


def _order(layout: Layout, beside: Mapping[str, Sequence[str]]) -> None:
    """Sort each column by the mean place of the neighbours in the column before it, to and fro."""
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        columns = layout.columns if forward else layout.columns[::-1]
        for before, here in itertools.pairwise(columns):
            at = {name: (number + 0.5) / len(before) for number, name in enumerate(before)}
            own = {name: (number + 0.5) / len(here) for number, name in enumerate(here)}
            near = {name: [at[other] for other in beside.get(name, ()) if other in at] for name in here}
            means = {name: _mean(near[name], own[name]) for name in here}
            here.sort(key=means.__getitem__)


def _set_heights(layout: Layout, beside: Mapping[str, Sequence[str]]) -> None:
    for column in layout.columns:
        layout.heights |= _spread(column, [0.0] * len(column))
    for sweep in range(_SWEEPS):
        columns = layout.columns if sweep % 2 == 0 else layout.columns[::-1]
        for before, here in itertools.pairwise(columns):
            near = set(before)
            wanted = [
                _mean([layout.heights[other] for other in beside.get(name, ()) if other in near], layout.heights[name])
                for name in here
            ]
            layout.heights |= _spread(here, wanted)
    top = min((layout.heights[name] - _size(name) / 2 for name in layout.heights), default=0.0)
    layout.heights = {name: height - top for name, height in layout.heights.items()}


def _spread(column: Sequence[str], wanted: Sequence[float]) -> dict[str, float]:
    """As near to ``wanted`` as the order allows without overlapping: neighbours that would overlap move together
    (pool adjacent violators, the least sum of squares)."""
    offsets = [0.0]
    for above, below in itertools.pairwise(column):
        offsets.append(offsets[-1] + (_size(above) + _size(below)) / 2)
    blocks: list[tuple[float, int]] = []  # mean of what is left of the wish without the offset, members
    for want, offset in zip(wanted, offsets, strict=False):
        blocks.append((want - offset, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (mean, members), (other, more) = blocks.pop(), blocks.pop()
            blocks.append(((mean * members + other * more) / (members + more), members + more))
    heights = [mean for mean, members in blocks for _ in range(members)]
    return {name: height + offset for name, height, offset in zip(column, heights, offsets, strict=False)}


def _size(name: str) -> float:
    return _PASSING if "\0" in name else 1.0


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
