"""``slapos node promise``."""

from __future__ import annotations

import click

from slapos.cli.commands.node.rounds import leave, only_partitions, run_round
from slapos.cli.lazy import Command


@click.command(cls=Command)
@only_partitions
def promise(only: tuple[str, ...]) -> None:  # fmt: skip
    """Run the promises of the started instances of this node. Exit code 2 when one fails."""
    leave(run_round("promise", only), 2)
