"""``slapos remove URL NODE``."""

from __future__ import annotations

import dataclasses

import click
from rich.text import Text

from slapos.cli.connection import open_client, release_url
from slapos.cli.lazy import Command
from slapos.cli.output import emit
from slapos.model.states import SupplyState


@click.command(cls=Command)
@click.argument("release", metavar="URL")
@click.argument("node", metavar="NODE")
def remove(release: str, node: str) -> None:
    """Have the release at URL removed from NODE (its reference)."""
    made = open_client().supply(node, release_url(release), SupplyState.DESTROYED)
    emit(dataclasses.asdict(made), lambda: Text(f"{made.node} removes {made.release} once no instance uses it."))
