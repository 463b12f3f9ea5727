"""``slapos store``: the stores of built parts on this machine."""

from __future__ import annotations

import click

from slapos.cli.lazy import Entry, LazyGroup

_C = "slapos.cli.commands.store"

ENTRIES = (
    Entry("list", f"{_C}.contents:contents", "Show which parts there are, and who uses them."),
    Entry("check", f"{_C}.check:check", "Compare each part with what was built."),
    Entry("gc", f"{_C}.gc:gc", "Remove parts that no release uses."),
)


@click.group(cls=LazyGroup, entries=ENTRIES)
def store() -> None:
    """Look into the stores of this machine, where releases share built parts."""
