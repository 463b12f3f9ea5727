"""``slapos master``: running a master."""

from __future__ import annotations

import click

from slapos.cli.lazy import Entry, LazyGroup

_C = "slapos.cli.commands.master"

ENTRIES = (
    Entry("init", f"{_C}.init:init", "Make a master: authority, certificates, first operator."),
    Entry("start", f"{_C}.start:start", "Run the master until it is told to end."),
    Entry("install-service", f"{_C}.install_service:install_service", "Have systemd run this master."),
    Entry("uninstall-service", f"{_C}.install_service:uninstall_service", "Take the unit of this master away."),
    Entry("backup", f"{_C}.backup:backup", "Copy the database while it is in use."),
    Entry("restore", f"{_C}.restore:restore", "Put a copy of the database back."),
)


@click.group(cls=LazyGroup, entries=ENTRIES)
def master() -> None:
    """Run a master."""
