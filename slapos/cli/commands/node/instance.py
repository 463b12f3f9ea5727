"""``slapos node instance``."""

from __future__ import annotations

import click

from slapos.cli.commands.node.rounds import force_instances, leave, run_round
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
@click.option("--force", "--all", "force", is_flag=True, help="Also what is as it is wanted.")
@click.option("--now", is_flag=True, hidden=True, help="As always; an option of the existing tool.")
def instance(only: tuple[str, ...], force: bool, now: bool) -> None:  # fmt: skip
    """Bring the instances of this node to what is wanted, once, in the foreground.

    Exit code 1 when one failed. The daemon does the same by itself.
    """
    if force:
        force_instances(only)
    leave(run_round("instance", only), 1)
