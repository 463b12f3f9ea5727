"""``slapos service``: what can be seen of instances."""

from __future__ import annotations

import click

from slapos.cli.lazy import Entry, LazyGroup

_C = "slapos.cli.commands"

ENTRIES = (
    Entry("list", f"{_C}.service.list:list_instances", "List your instances."),
    Entry("info", f"{_C}.service.info:info", "Show an instance as a tree: states, promises, connection parameters."),
)


@click.group(cls=LazyGroup, entries=ENTRIES)
def service() -> None:
    """Look at instances."""
