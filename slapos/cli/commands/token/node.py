"""``slapos token node``."""

from __future__ import annotations

import click
from rich.text import Text

from slapos.cli.connection import open_own_client
from slapos.cli.lazy import Command
from slapos.cli.output import emit


@click.command(cls=Command)
@click.option("--name", default="", help="What the node will be called.")
@click.option("--reference", default="", metavar="COMP-N", help="Of a node that exists, and enrols again.")
@click.option(
    "--legacy-keys", is_flag=True, help="For a node of SlapOS: the master makes its keys and those of its instances."
)
def node(name: str, reference: str, legacy_keys: bool) -> None:
    """Make a one-time token for a computer; use it there with 'slapos node register NAME --token TOKEN'."""
    made = open_own_client().token("node", reference, name, legacy_keys=legacy_keys)
    emit({"token": made, "kind": "node"}, lambda: Text(made))
