"""``slapos computer list``."""

from __future__ import annotations

import dataclasses

import click

from slapos.cli.connection import open_client
from slapos.cli.lazy import Command
from slapos.cli.output import emit
from slapos.cli.views import node_table


@click.command("list", cls=Command)
def list_nodes() -> None:
    """List the nodes: which are online, how full they are."""
    nodes = open_client().nodes()
    emit([dataclasses.asdict(node) for node in nodes], lambda: node_table(nodes))
