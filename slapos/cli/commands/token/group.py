"""``slapos token``: one-time tokens with which nodes and people join."""

from __future__ import annotations

import click

from slapos.cli.lazy import Entry, LazyGroup

_C = "slapos.cli.commands.token"

ENTRIES = (
    Entry("node", f"{_C}.node:node", "Make a token for a computer that becomes a node."),
    Entry("user", f"{_C}.user:user", "Make a token for a person."),
)


@click.group(cls=LazyGroup, entries=ENTRIES)
def token() -> None:
    """Make one-time tokens for nodes and people to join with (operators only)."""
