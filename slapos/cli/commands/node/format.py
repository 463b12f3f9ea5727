"""``slapos node format``."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from slapos.cli.connection import open_node_config
from slapos.cli.lazy import Command
from slapos.cli.output import emit, table


@click.command("format", cls=Command)
@click.option(
    "--alter_user/--no-alter_user",
    "--alter-user/--no-alter-user",
    "alter_user",
    default=None,
    help="Whether to make Unix users (root only).",
)
@click.option(
    "--alter_network/--no-alter_network",
    "--alter-network/--no-alter-network",
    "alter_network",
    default=None,
    help="Whether to add addresses (root only).",
)
@click.option("--now", is_flag=True, hidden=True, help="As always; an option of the existing tool.")
def format_computer(alter_user: bool | None, alter_network: bool | None, now: bool) -> None:  # fmt: skip
    """Make users, directories and addresses of the partitions, and describe them to the master."""
    from slapos.node import operations

    given = {"alter_user": alter_user, "alter_network": alter_network}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    made = operations.format_node(dataclasses.replace(open_node_config(), **changes))
    rows = [(item.reference, ", ".join(address.ip for address in item.addresses)) for item in made.partitions]
    emit(dataclasses.asdict(made), lambda: table(("partition", "addresses"), rows, "The node has no partitions."))
