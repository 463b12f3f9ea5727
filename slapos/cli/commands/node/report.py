"""``slapos node report``."""

from __future__ import annotations

import click

from slapos.cli.commands.node.rounds import leave, run_round
from slapos.cli.lazy import Command


@click.command(cls=Command)
@click.option(
    "--only",
    "--only-cp",
    "only",
    multiple=True,
    metavar="PARTITION",
    help="Only this partition; comma-separated or repeated.",
)
def report(only: tuple[str, ...]) -> None:  # fmt: skip
    """Collect what the instances of this node report as usage, and deliver it once to the master."""
    leave(run_round("report", only), 1)
