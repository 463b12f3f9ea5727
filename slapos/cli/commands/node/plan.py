"""``slapos node plan``."""

from __future__ import annotations

import dataclasses

import click
from rich.text import Text

from slapos.cli.connection import open_node_config
from slapos.cli.lazy import Command
from slapos.cli.output import emit


@click.command(cls=Command)
@click.option(
    "--only",
    "--only-cp",
    "--only-sr",
    "only",
    multiple=True,
    metavar="NAME",
    help="A partition, or a release (its URL or the md5 of it); comma-separated or repeated.",
)
def plan(only: tuple[str, ...]) -> None:  # fmt: skip
    """Show what the node would do now: each action with its reason, and what it would not do and why."""
    from slapos.node import operations
    from slapos.node.plan import plan_lines

    plans = operations.plan_node(open_node_config(), only)
    lines = "\n".join(plan_lines(plans))
    emit([dataclasses.asdict(item) for item in plans], lambda: Text(lines or "There is nothing to do."))
