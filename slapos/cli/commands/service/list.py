"""``slapos service list``."""

from __future__ import annotations

import dataclasses

import click

from slapos.cli.connection import open_client
from slapos.cli.lazy import Command
from slapos.cli.output import emit
from slapos.cli.views import instance_table


@click.command("list", cls=Command)
def list_instances() -> None:
    """List your instances, one sentence each.  Those that they requested are shown by 'service info'."""
    found = open_client().roots()
    emit([dataclasses.asdict(item) for item in found], lambda: instance_table(found))
