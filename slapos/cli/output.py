"""What a command prints: text for people through rich, or one JSON document.

Results go to stdout, everything else (progress, warnings, errors) to stderr, so that results can be piped.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from slapos.model.errors import HyperopenxError

#: Colours of one-word states, wherever they are shown.
COLOURS = {
    "ok": "green", "started": "green", "available": "green", "online": "green", "running": "green", "done": "green",
    "working": "cyan", "building": "cyan", "waiting": "yellow", "pending": "yellow", "orphan": "yellow",
    "error": "red", "failed": "red", "offline": "red", "fatal": "red",
    "stopped": "dim", "destroyed": "dim", "unknown": "dim", "free": "dim",
}  # fmt: skip


#: Of what goes into a pipe or a file: nothing is folded there for a screen that is not there.
PIPE_WIDTH = 400
#: Of a context, what a sentence often holds already.
_NAMED_IN_SENTENCES = frozenset({"file", "section", "option", "part", "path", "url", "got", "expected", "field"})
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def stdout() -> Console:
    return _console(sys.stdout)


def stderr() -> Console:
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    return _CleanConsole(file=stream, highlight=False, width=None if stream.isatty() else PIPE_WIDTH)


class _CleanConsole(Console):
    """Shows control characters of what it is given as U+FFFD: names, logs and parameters come from strangers, and a
    terminal obeys them."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=_CONTROL.sub("\ufffd", segment.text))


def is_json() -> bool:
    """Whether the person asked for JSON, before or after the command's name."""
    context = click.get_current_context(silent=True)
    return context is not None and context.find_root().meta.get("slapos.format") == "json"


def emit(data: Any, render: Callable[[], RenderableType | Iterable[RenderableType]]) -> None:
    """``data`` as JSON, or what ``render`` makes of it for people."""
    if is_json():
        text = json.dumps(data, indent=2, ensure_ascii=False, default=str)
        sys.stdout.write(_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")
        return
    made = render()
    console = stdout()
    for item in [made] if isinstance(made, str) or not isinstance(made, Iterable) else made:
        console.print(item)


def say(text: RenderableType) -> None:
    """A line for people beside the result; silent with JSON."""
    if not is_json():
        stderr().print(escape(text) if isinstance(text, str) else text)


def state(word: str) -> Text:
    """A one-word state in its colour."""
    return Text(word or "unknown", style=COLOURS.get(word, ""))


def table(columns: Sequence[str], rows: Iterable[Sequence[RenderableType]], empty: str) -> RenderableType:
    """A table without frames; ``empty`` is the sentence shown in its place when there are no rows."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(escape(cell) if isinstance(cell, str) else cell for cell in row))
    return made if made.row_count else Text(empty)


def print_error(error: HyperopenxError, as_json: bool) -> None:
    """Reference, sentence, context and hint: as four parts for people, or as one document."""
    if as_json:
        sys.stderr.write(json.dumps({"error": error.as_data()}, ensure_ascii=False, default=str) + "\n")
        return
    console = stderr()
    for line in error_lines(error.as_data()):
        console.print(line)


def error_lines(error: Mapping[str, Any]) -> Iterator[Text]:
    """The four parts of an error (``HyperopenxError.as_data``) for people."""
    yield Text.assemble(("error ", "bold red"), (f"{error['reference']}: ", "bold"), error["message"])
    for key, value in _context_rows(error):
        yield Text.assemble("  ", (f"{key}: ", "dim"), _shown(value))
    if error["hint"]:
        yield Text.assemble("  ", ("→ ", "cyan"), error["hint"])


def _context_rows(error: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The context without what the sentence and the hint say already; a place as ``file:line``; a log's end last."""
    context, message = dict(error["context"]), str(error["message"])
    for key in ("command", "code", "errno"):
        context.pop(key, None)
    if context.get("file") and context.get("line"):
        context["file"] = f"{context['file']}:{context.pop('line')}"
    if context.get("log") and str(context["log"]) in str(error["hint"]):
        del context["log"]
    if len(context.get("attempts", ())) == 1:
        del context["attempts"]
    tail = [str(line) for line in context.pop("tail", ())]
    for key, value in context.items():
        if key not in _NAMED_IN_SENTENCES or not _is_said(value, message):
            yield key, value
    if tail and message not in tail[-1]:
        yield "last lines", tail


def _is_said(value: Any, message: str) -> bool:
    return all(str(item) in message for item in (value if isinstance(value, list | tuple) else [value]))


def _shown(value: Any) -> str:
    if isinstance(value, str):
        lines = value.rstrip().splitlines() or [""]
    elif isinstance(value, list | tuple):
        lines = [_line(item) for item in value] or ["none"]
    else:
        lines = [_line(value)]
    return lines[0] if len(lines) == 1 else "".join(f"\n    {line}" for line in lines)


def _line(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_line(member)}" for key, member in value.items())
    if isinstance(value, list | tuple):
        return ": ".join(map(_line, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
