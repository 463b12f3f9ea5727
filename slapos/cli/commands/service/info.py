"""``slapos service info REFERENCE``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click
from rich.console import RenderableType
from rich.text import Text

from slapos.cli.connection import naming, open_client
from slapos.cli.lazy import Command
from slapos.cli.output import emit
from slapos.cli.views import event_table, instance_view, tree_view

if TYPE_CHECKING:
    from slapos.slap.client import Tree


@click.command(cls=Command)
@click.argument("reference", metavar="REFERENCE")
@click.option("--news", is_flag=True, help="Show what happened to it, newest last.")
def info(reference: str, news: bool) -> None:
    """Show the instance REFERENCE (its title or its SOFTINST-<n>) and all that it requested.

    Each has a state, a sentence and its promises; the connection parameters of the first one follow.
    """
    client = open_client()
    tree = client.tree(**naming(reference))
    data = tree_data(tree)
    parts: list[RenderableType] = [tree_view(tree), Text(""), instance_view(tree.instance, below_tree=True)]
    if news:
        events = client.history(tree.instance.guid)
        data["events"] = [dataclasses.asdict(event) for event in events]
        parts += [Text("\nnews", style="bold"), event_table(events)]
    emit(data, lambda: parts)


def tree_data(tree: Tree) -> dict[str, Any]:
    return {"instance": dataclasses.asdict(tree.instance), "children": [tree_data(child) for child in tree.children]}
