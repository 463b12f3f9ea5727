"""``slapos join URL``."""

from __future__ import annotations

import os

import click
from rich.text import Text

from slapos.cli.lazy import Command
from slapos.cli.output import emit


@click.command(cls=Command)
@click.argument("master_url", metavar="URL")
@click.option("--token", required=True, help="The one-time token that the operator gave you.")
@click.option(
    "--ca-file",
    "--master-ca-file",
    "ca_file",
    default="",
    metavar="FILE",
    help="Certificate of the master's authority, when the token does not name it.",
)
@click.option(
    "--directory", default="~/.slapos", show_default=True, metavar="DIRECTORY", help="Where your key is kept."
)
def join(master_url: str, token: str, ca_file: str, directory: str) -> None:  # fmt: skip
    """Become a user of the master at URL. Your key is made here and never leaves this machine.

    The token says which authority the master must have; it is sent only to a master that has it.
    """
    from slapos.cli.identity import join as join_master
    from slapos.cli.identity import read_ca

    ca_pem = read_ca(ca_file) if ca_file else ""
    config, reference = join_master(master_url, token, ca_pem, os.path.abspath(os.path.expanduser(directory)))
    emit(
        {"reference": reference, "configuration": config.path},
        lambda: Text(f"You are {reference} at {config.master_url}; the configuration is {config.path}."),
    )
