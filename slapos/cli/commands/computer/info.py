"""``slapos computer info NODE``."""

from __future__ import annotations

import dataclasses

import click

from slapos.cli.connection import open_client
from slapos.cli.lazy import Command
from slapos.cli.output import emit
from slapos.cli.views import node_view


@click.command(cls=Command)
@click.argument("node", metavar="NODE")
def info(node: str) -> None:
    """Show NODE (its reference): its partitions, its releases and what each of them does."""
    found = open_client().node(node)
    emit(dataclasses.asdict(found), lambda: node_view(found))
