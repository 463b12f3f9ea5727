"""``slapos node instance``."""

from __future__ import annotations

import click

from slapos.cli.commands.node.rounds import force_instances, forced, leave, only_partitions, run_round
from slapos.cli.lazy import Command


@click.command(cls=Command)
@only_partitions
@forced
def instance(only: tuple[str, ...], force: bool, now: bool) -> None:  # fmt: skip
    """Bring the instances of this node to what is wanted, once, in the foreground.

    Exit code 1 when one failed. The daemon does the same by itself.
    """
    if force:
        force_instances(only)
    leave(run_round("instance", only), 1)
