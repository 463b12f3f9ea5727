"""``slapos node prune``."""

from __future__ import annotations

import click
from rich.text import Text

from slapos.cli.connection import open_node_config
from slapos.cli.lazy import Command
from slapos.cli.output import emit

DAY = 24 * 3600.0


@click.command(cls=Command)
@click.option(
    "--keep",
    type=click.FloatRange(0),
    metavar="DAYS",
    help="Remove what nothing has used for so long; `collect_grace` of the configuration by default.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go, why, and when the rest goes; do nothing.")
def prune(keep: float | None, dry_run: bool) -> None:
    """Remove parts of the store that no release and no partition of this node uses; the daemon does it daily.

    A part goes only when it was seen unused for its grace time. What a build may use meanwhile stays.
    """
    from slapos.node import operations
    from slapos.node.plan import plan_lines

    grace = None if keep is None else keep * DAY
    plan, sentence = operations.prune(open_node_config(), grace, dry_run)
    lines = [*plan_lines([plan]), *([sentence] if sentence else [])]
    emit({"plan": plan.as_data(), "dry_run": dry_run, "sentence": sentence}, lambda: Text("\n".join(lines)))
