"""``slapos computer``: what can be seen of nodes."""

from __future__ import annotations

import click

from slapos.cli.lazy import Entry, LazyGroup

_C = "slapos.cli.commands"

ENTRIES = (
    Entry("list", f"{_C}.computer.list:list_nodes", "List the nodes."),
    Entry("info", f"{_C}.computer.info:info", "Show one node and its releases."),
    Entry(
        "token", f"{_C}.token.node:node", "Make a one-time token for a node (the same as 'token node').", hidden=True
    ),
)


@click.group(cls=LazyGroup, entries=ENTRIES)
def computer() -> None:
    """Look at nodes."""
