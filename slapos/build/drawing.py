"""The plan of a release as a picture: an SVG document, made here, without a program for graphs.

From left to right: the parts that the release names, then what they need.  The colour of a box is its state; who points
at a box reads the reason.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from slapos.build.graph import Graph
from slapos.build.layers import Edge, Layout, place
from slapos.build.plan import STATES, Plan, PlanLine, State, is_plain

_COLOURS: Mapping[State, tuple[str, str]] = {
    "present": ("#e6f4ea", "#34a853"),
    "cached": ("#e0f3f8", "#0b8aa8"),
    "build": ("#fff4d6", "#c98500"),
    "private": ("#f1f3f4", "#80868b"),
    "opaque": ("#f3e8fd", "#8430ce"),
    "problem": ("#fce8e6", "#d93025"),
}
"""State → fill and line."""
_CHARACTER, _SMALL, _TITLE = 7.3, 5.8, 8.8  # pixels of a letter of names, remarks and titles, on average
_HEIGHT, _ROW, _GAP, _MARGIN, _HEAD = 42, 58, 90, 24, 64
_STYLE = (
    "text{font-family:system-ui,'DejaVu Sans',sans-serif;font-size:12px;fill:#202124}"
    ".name{font-weight:600}.small{font-size:10.5px;fill:#5f6368}.title{font-size:15px;font-weight:600}"
    ".edge{fill:none;stroke:#9aa0a6;stroke-width:1.2}rect{stroke-width:1.4}"
)


def drawing(graph: Graph, plan: Plan) -> str:
    """An SVG document; files that are only copied into the release are one line of it."""
    shown = [line for line in plan.lines if not is_plain(graph, line)]
    rest = [line.part for line in plan.lines if line not in shown]
    layout = place([line.part for line in shown], _edges(graph))
    boxes = _Boxes(layout, {line.part: line for line in shown})
    foot = f"{len(rest)} more in the release's own directory: {', '.join(rest)}" if rest else ""
    legend = _legend(shown)
    width = max(boxes.width, _end_of(legend), round(len(graph.profile) * _TITLE) + 2 * _MARGIN)
    height = boxes.height + (_ROW // 2 if foot else 0)
    body = [*_head(graph.profile, legend), *boxes.edges(), *boxes.nodes(), *_foot(foot, width, boxes.height)]
    size = f'width="{width}" height="{height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}">',
            f"<style>{_STYLE}</style>",
            f'<rect {size} fill="#ffffff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _edges(graph: Graph) -> list[Edge]:
    return [(node.name, needed) for node in graph.parts for needed in node.needs]


class _Boxes:
    """The layout in pixels."""

    def __init__(self, layout: Layout, lines: Mapping[str, PlanLine]) -> None:
        self.layout = layout
        self.lines = lines
        self.widths = [
            max([_width(lines[name]) for name in column if name in lines], default=40) for column in layout.columns
        ]
        self.lefts = [_MARGIN + sum(self.widths[:number]) + number * _GAP for number in range(len(self.widths))]
        self.column = {name: number for number, column in enumerate(layout.columns) for name in column}
        self.width = (self.lefts[-1] + self.widths[-1] if self.lefts else 0) + _MARGIN
        self.height = round(max(layout.heights.values(), default=0.0) * _ROW) + _HEAD + _ROW // 2 + _MARGIN

    def nodes(self) -> Iterator[str]:
        for name, line in self.lines.items():
            left, middle = self.lefts[self.column[name]], self._middle(name)
            fill, stroke = _COLOURS[line.state]
            yield f"<g><title>{_text(f'{name}: {STATES[line.state]}. {line.reason}')}</title>"
            yield (
                f'<rect x="{left}" y="{middle - _HEIGHT / 2:.1f}" width="{self.widths[self.column[name]]}" '
                f'height="{_HEIGHT}" rx="6" fill="{fill}" stroke="{stroke}"/>'
            )
            yield f'<text class="name" x="{left + 10}" y="{middle - 3:.1f}">{_text(name)}</text>'
            yield f'<text class="small" x="{left + 10}" y="{middle + 13:.1f}">{_text(_second(line))}</text></g>'

    def edges(self) -> Iterator[str]:
        for (left, right), way in self.layout.ways.items():
            points = [point for name in way for point in self._points(name)][1:-1]
            yield (
                f'<path class="edge" d="{_curve(points)}"><title>{_text(f"{left} needs {right}")}</title></path>'
                f'<circle cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="2.6" fill="#9aa0a6"/>'
            )

    def _points(self, name: str) -> list[tuple[float, float]]:
        number, middle = self.column[name], self._middle(name)
        return [(self.lefts[number], middle), (self.lefts[number] + self.widths[number], middle)]

    def _middle(self, name: str) -> float:
        return _HEAD + self.layout.heights[name] * _ROW


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """From column to column in a soft bend, straight where it passes one."""
    path = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    for number, ((x, y), (to_x, to_y)) in enumerate(itertools.pairwise(points)):
        bend = (to_x - x) / 2
        curve = f"C{x + bend:.1f},{y:.1f} {to_x - bend:.1f},{to_y:.1f} {to_x:.1f},{to_y:.1f}"
        path.append(curve if number % 2 == 0 else f"L{to_x:.1f},{to_y:.1f}")
    return " ".join(path)


def _legend(lines: Sequence[PlanLine]) -> list[tuple[int, State, str]]:
    """Left edge, state and text of what says what the colours mean."""
    found: list[tuple[int, State, str]] = []
    for state, meaning in STATES.items():
        count = sum(line.state == state for line in lines)
        if count:
            found.append((_end_of(found), state, f"{state} ({count}): {meaning}"))
    return found


def _end_of(legend: Sequence[tuple[int, State, str]]) -> int:
    """Where the next entry begins."""
    return legend[-1][0] + 17 + round(len(legend[-1][2]) * _SMALL) + _MARGIN if legend else _MARGIN


def _head(title: str, legend: Sequence[tuple[int, State, str]]) -> Iterator[str]:
    yield f'<text class="title" x="{_MARGIN}" y="26">{_text(title)}</text>'
    for left, state, label in legend:
        fill, stroke = _COLOURS[state]
        yield f'<rect x="{left}" y="37" width="12" height="12" rx="3" fill="{fill}" stroke="{stroke}"/>'
        yield f'<text class="small" x="{left + 17}" y="47">{_text(label)}</text>'


def _foot(text: str, width: int, y: int) -> Iterator[str]:
    most = round((width - 2 * _MARGIN) / _SMALL)
    shown = text if len(text) <= most else f"{text[: most - 1]}…"
    if text:
        yield f'<text class="small" x="{_MARGIN}" y="{y}"><title>{_text(text)}</title>{_text(shown)}</text>'


def _width(line: PlanLine) -> int:
    return round(max(len(line.part) * _CHARACTER, len(_second(line)) * _SMALL)) + 22


def _second(line: PlanLine) -> str:
    words: list[str] = [line.state]
    if line.seconds and line.seconds >= 1:
        words.append(f"~{line.seconds:.0f} s")
    if line.download_bytes:
        words.append(f"{line.download_bytes / 1e6:.1f} MB to fetch")
    return " · ".join(words)


def _text(text: str) -> str:
    return escape("".join(character if character.isprintable() else "\ufffd" for character in text), quote=False)
