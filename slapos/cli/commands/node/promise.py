"""``slapos node promise``."""

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
def promise(only: tuple[str, ...]) -> None:  # fmt: skip
    """Run the promises of the started instances of this node. Exit code 2 when one fails."""
    leave(run_round("promise", only), 2)
