"""``slapos node software``."""

from __future__ import annotations

import click

from slapos.cli.commands.node.rounds import force_releases, forced, leave, run_round
from slapos.cli.lazy import Command


@click.command(cls=Command)
@click.option(
    "--only",
    "--only-sr",
    "only",
    multiple=True,
    metavar="RELEASE",
    help="Only this release: its URL or the md5 of it; comma-separated or repeated.",
)
@forced
def software(only: tuple[str, ...], force: bool, now: bool) -> None:  # fmt: skip
    """Build the supplied releases and remove those no longer wanted, once, in the foreground.

    Exit code 1 when one failed. The daemon does the same by itself.
    """
    if force:
        force_releases(only)
    leave(run_round("software", only), 1)
