"""``slapos token user``."""

from __future__ import annotations

import click
from rich.text import Text

from slapos.cli.connection import open_own_client
from slapos.cli.lazy import Command
from slapos.cli.output import emit


@click.command(cls=Command)
@click.argument("login", metavar="LOGIN")
@click.option("--operator", is_flag=True, help="The person may do everything, and it is logged.")
@click.option("--legacy-keys", is_flag=True, help="For 'slapos configure client' of SlapOS: the master makes the key.")
def user(login: str, operator: bool, legacy_keys: bool) -> None:
    """Make a one-time token for the person LOGIN, who uses it with 'slapos join'."""
    kind = "operator" if operator else "user"
    made = open_own_client().token(kind, reference=login, legacy_keys=legacy_keys)
    emit({"token": made, "kind": kind, "reference": login}, lambda: Text(made))
