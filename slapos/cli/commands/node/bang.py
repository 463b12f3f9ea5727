"""``slapos node bang``."""

from __future__ import annotations

import click
from rich.text import Text

from slapos.cli.connection import open_node_config
from slapos.cli.lazy import Command
from slapos.cli.output import emit


@click.command(cls=Command)
@click.option("-m", "--message", default="", help="Why; it is kept in the history.")
def bang(message: str) -> None:
    """Have every instance of this node processed again."""
    from slapos.node import operations

    config = open_node_config()
    generation = operations.bang(config, message)
    emit(
        {"node": config.computer_id, "generation": generation},
        lambda: Text(f"{config.computer_id} looks at everything."),
    )
