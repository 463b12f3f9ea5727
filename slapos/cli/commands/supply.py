"""``slapos supply URL NODE``."""

from __future__ import annotations

import dataclasses

import click
from rich.text import Text

from slapos.cli.connection import open_client, release_url
from slapos.cli.lazy import Command
from slapos.cli.output import emit, say
from slapos.model.states import SupplyState


@click.command(cls=Command)
@click.argument("release", metavar="URL")
@click.argument("node", metavar="NODE")
def supply(release: str, node: str) -> None:
    """Have the release at URL built on NODE (its reference).

    URL may also be a path, or the name of a release of the catalogue.
    """
    client = open_client()
    made = client.supply(node, release_url(release), SupplyState.AVAILABLE)
    emit(dataclasses.asdict(made), lambda: Text(f"{made.node} builds {made.release}."))
    for event in client.history(f"{made.node} {made.release}", limit=1):
        if event.kind == "warning":  # of this very call: it came last
            say(Text(event.sentence, style="yellow"))
