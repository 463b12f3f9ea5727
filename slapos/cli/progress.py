"""What a person sees while something takes long: one line per step, and a live picture of what happens now.

On a terminal the picture is redrawn in place; elsewhere each change of its text is a line.  With JSON, nothing.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from slapos.cli.output import is_json, stderr
from slapos.cli.views import duration

#: Steps shorter than this are not worth a duration.
WORTH_SECONDS = 1.0
#: How often a line that differs in its numbers only is printed again.
REPEAT_SECONDS = 20.0
_NUMBERS = re.compile("[0-9]+")


class Progress:
    """``console`` None is silent."""

    def __init__(self, *, console: Console | None = None) -> None:
        self.console = console
        self._shown = ""
        self._shown_at = 0.0

    @classmethod
    def for_person(cls) -> Progress:
        return cls(console=None if is_json() else stderr())

    @contextlib.contextmanager
    def step(self, doing: str, done: str = "") -> Iterator[Callable[[str], None]]:
        """Show ``doing`` while the block runs and ``done`` after it; the block may replace ``done``.

        An empty ``done`` leaves no line: nothing worth telling happened.
        """
        said = [done]
        start = time.monotonic()
        if self.console is None:
            yield lambda text: None
            return
        shown = self.console.status(doing, spinner="dots") if self.console.is_terminal else contextlib.nullcontext()
        with shown:
            yield lambda text: said.__setitem__(0, text)
        if said[0]:
            self.done(said[0], time.monotonic() - start)

    def done(self, text: str, seconds: float = 0.0) -> None:
        """A line for a finished step."""
        if self.console is not None:
            took = f"  {duration(seconds)}" if seconds >= WORTH_SECONDS else ""
            self.console.print(Text.assemble(("✓ ", "green"), text, (took, "dim")))

    def note(self, text: str) -> None:
        """A line beside the steps."""
        if self.console is not None:
            self.console.print(Text(f"  {text}", style="dim"))

    def watch(self, look: Callable[[], tuple[bool, RenderableType, str]], *, every: float, seconds: float) -> bool:
        """Call ``look`` until its first value is True or ``seconds`` are over; show the second value meanwhile.

        The third value is the same picture in one line, for where nothing can be redrawn.  Whether it became True.
        """
        start = time.monotonic()
        with self._live() as live:
            while True:
                finished, picture, line = look()
                passed = time.monotonic() - start
                self._draw(live, picture, line, passed)
                if finished or passed > seconds:
                    return finished
                self._rest(live, picture, every, start)

    def _rest(self, live: Any, picture: RenderableType, every: float, start: float) -> None:
        """Wait; on a terminal the clock goes on meanwhile."""
        until = time.monotonic() + every
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
            if live is not None:
                live.update(_frame(picture, time.monotonic() - start), refresh=True)

    def _live(self) -> Any:
        if self.console is None or not self.console.is_terminal:
            return contextlib.nullcontext()
        return Live(console=self.console, auto_refresh=False, transient=True, vertical_overflow="crop")

    def _draw(self, live: Any, picture: RenderableType, line: str, passed: float) -> None:
        if live is not None:
            live.update(_frame(picture, passed), refresh=True)
        elif self.console is not None and self._is_news(line, passed):
            self.console.print(Text(f"  {duration(passed):>8}  {line}"))

    def _is_news(self, line: str, passed: float) -> bool:
        """Where nothing can be redrawn, a line that only counts on is worth printing now and then."""
        words = _NUMBERS.sub("", line)
        if words == self._shown and passed - self._shown_at < REPEAT_SECONDS:
            return False
        self._shown, self._shown_at = words, passed
        return True


def _frame(picture: RenderableType, passed: float) -> RenderableType:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column()
    grid.add_column(overflow="fold")
    grid.add_row(_SPINNER, picture)
    grid.add_row("", Text(f"{duration(passed)} so far; Ctrl-C leaves it going on", style="dim"))
    return grid


_SPINNER = Spinner("dots", style="cyan")
