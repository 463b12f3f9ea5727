"""Commands that are imported when they are called, and the options that all of them take.

``slapos --help`` imports no command: names and summaries come from the table.  ``slapos request …`` imports one file.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import click


@dataclass(frozen=True)
class Entry:
    """A line of the table of commands.  ``target`` is ``module:attribute`` of a click command or group."""

    name: str
    target: str
    summary: str
    hidden: bool = False  # an older name of another command


class LazyGroup(click.Group):
    """A group whose commands are loaded from ``entries``, listed in that order."""

    def __init__(self, *args: Any, entries: tuple[Entry, ...] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.entries = {entry.name: entry for entry in entries}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, entry in self.entries.items() if not entry.hidden]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.entries.get(cmd_name)
        return None if entry is None else load(entry.target)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.entries and not name.startswith("-"):
            raise click.UsageError(
                f"There is no command {name!r} here; there are: {', '.join(self.list_commands(ctx))}."
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, entry.summary) for name, entry in self.entries.items() if not entry.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def load(target: str) -> click.Command:
    """The command object that ``module:attribute`` names."""
    module, _, attribute = target.partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    return command


class Command(click.Command):
    """A command with the options common to all, and with options that take several ``key=value`` words at once.

    ``several`` names options that people of the existing tool write as ``--parameters a=1 b=2``.
    """

    def __init__(self, *args: Any, several: Iterable[str] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.several = frozenset(several)
        self.params += [
            click.Option(["--format", "format_"], type=click.Choice(["text", "json"]), expose_value=False, hidden=False,
                         callback=_remember_format, is_eager=True, help="What to print: text for people, or JSON."),
            click.Option(["--cfg"], type=click.Path(), expose_value=False, is_eager=True, callback=_remember_cfg,
                         metavar="FILE", help="Configuration file to use instead of the usual one."),
        ]  # fmt: skip

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(spread_values(args, self.several)))


def spread_values(args: Iterable[str], several: frozenset[str]) -> Iterable[str]:
    """``--parameters a=1 b=2`` becomes ``--parameters a=1 --parameters b=2``, which click understands."""
    option, first = "", False
    for word in args:
        if word in several:
            option, first = word, True
            yield word
        elif option and (first or is_pair(word)):
            if not first:
                yield option
            first = False
            yield word
        else:
            option = ""
            yield word


def is_pair(word: str) -> bool:
    """Whether ``word`` is ``key=value`` and neither an option nor a URL or path."""
    key, equals, _ = word.partition("=")
    return bool(equals) and bool(key) and not key.startswith("-") and "/" not in key


def _remember_format(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.find_root().meta["slapos.format"] = value


def _remember_cfg(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.find_root().meta["slapos.cfg"] = value
