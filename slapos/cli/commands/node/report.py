"""``slapos node report``."""

from __future__ import annotations

import click

from slapos.cli.commands.node.rounds import leave, only_partitions, run_round
from slapos.cli.lazy import Command


@click.command(cls=Command)
@only_partitions
def report(only: tuple[str, ...]) -> None:  # fmt: skip
    """Collect what the instances of this node report as usage, and deliver it once to the master."""
    leave(run_round("report", only), 1)
