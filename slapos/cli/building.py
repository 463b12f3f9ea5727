"""A build as a person sees it: a line for each part that took a while, and on a terminal a live picture of those that
are built at the moment, each with its stage, its seconds and those of the last time.

Nothing here runs in a thread of its own: the engine tells each second what goes on.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from slapos.build.job import Progress
from slapos.build.under_way import RunningPart, UnderWay
from slapos.cli.output import error_lines, is_json, stderr
from slapos.cli.progress import WORTH_SECONDS
from slapos.cli.views import duration

_MARKS = {"done": ("✓", "green"), "failed": ("✗", "red"), "blocked": ("–", "yellow")}
_SILENT = frozenset({"done"})
SHOWN_PARTS = 12
"""Rows of the live picture."""
_BAR = 14


class BuildProgress:
    """Takes the progress of one build (:meth:`take`) while it is entered; ``console`` None is silent.

    ``expected``: seconds of each part in the last build.
    """

    def __init__(self, *, console: Console | None = None, expected: Mapping[str, float] | None = None) -> None:
        self.console = console
        self.build = UnderWay(expected or {}, time.monotonic())
        self._live: Live | None = None

    @classmethod
    def for_person(cls, expected: Mapping[str, float] | None = None) -> BuildProgress:
        return cls(console=None if is_json() else stderr(), expected=expected)

    def take(self, progress: Progress) -> None:
        """One step of the engine."""
        now = time.monotonic()
        new = progress.beside and progress.part not in self.build.running
        before = dict(self.build.ended)
        for part in self.build.take(progress, now):
            if before.get(part.name) != self.build.ended[part.name]:  # the loop comes to each part once more
                self._tell_end(part, now, progress.beside)
        if self._live is not None:
            self._live.update(picture(self.build, now), refresh=True)
        elif new and progress.part in self.build.running and self.console is not None:
            self.console.print(Text(f"  building {progress.part}", style="dim"))

    def _tell_end(self, part: RunningPart, now: float, beside: bool) -> None:
        ending, seconds = self.build.ended[part.name], part.seconds(now)
        if self.console is None or (ending in _SILENT and seconds < WORTH_SECONDS and not beside):
            return
        mark, colour = _MARKS[ending]
        took = f"  {duration(seconds)}" if seconds >= WORTH_SECONDS else ""
        word = "" if ending == "done" else f"  {ending}"
        self.console.print(Text.assemble((f"{mark} ", colour), part.name, (word, colour), (took, "dim")))

    def __enter__(self) -> BuildProgress:
        if self.console is not None and self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False, transient=True, vertical_overflow="crop")
            self._live.start()
            self._live.update(Text(self.build.sentence(time.monotonic()), style="dim"), refresh=True)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def picture(build: UnderWay, now: float) -> RenderableType:
    """The parts that run, and one line for the whole."""
    rows = Table.grid(padding=(0, 2, 0, 0))
    rows.add_column(style="bold", no_wrap=True, overflow="ellipsis", max_width=24)
    rows.add_column(style="cyan", no_wrap=True)
    rows.add_column(justify="right", no_wrap=True)
    rows.add_column(no_wrap=True)
    rows.add_column(style="dim", no_wrap=True)
    running = sorted(build.running.values(), key=lambda part: part.begun)
    for part in running[:SHOWN_PARTS]:
        rows.add_row(*_row(part, now))
    more = len(running) - SHOWN_PARTS
    lines: list[RenderableType] = [rows]
    if more > 0:
        lines.append(Text(f"and {more} more", style="dim"))
    return Group(*lines, Text(_whole(build, now), style="dim"))


def _row(part: RunningPart, now: float) -> Iterator[RenderableType]:
    seconds = part.seconds(now)
    yield Text(part.name)
    yield Text(part.stage)
    yield Text(duration(seconds))
    if part.expected is None or part.expected < WORTH_SECONDS:
        return
    yield ProgressBar(total=part.expected, completed=min(seconds, part.expected), width=_BAR)
    yield Text(f"of {duration(part.expected)}")


def _whole(build: UnderWay, now: float) -> str:
    words = [f"{duration(now - build.begun)} so far"]
    if build.last is not None and build.last.beside:
        words.insert(0, f"{len(build.ended)} of {build.last.total} parts are done")
    elif build.last is not None:
        words.insert(0, f"part {build.last.index} of {build.last.total}")
    rest = build.rest(now)
    if rest is not None:
        words.append(f"about {duration(rest)} to go")
    return ", ".join(words)


def failure_lines(errors: tuple[Mapping[str, Any], ...]) -> Iterator[Text]:
    """Each failure of a build with the last lines of its log, an empty line between them."""
    for index, error in enumerate(errors):
        if index:
            yield Text("")
        with contextlib.suppress(KeyError):
            yield from error_lines(error)
