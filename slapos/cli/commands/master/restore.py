"""``slapos master restore``."""

from __future__ import annotations

import click
from rich.text import Text

from slapos.cli.commands.master.config import open_master_config
from slapos.cli.lazy import Command
from slapos.cli.output import emit
from slapos.model.errors import Conflict, HyperopenxError


@click.command(cls=Command)
@click.argument("file", type=click.Path())
def restore(file: str) -> None:
    """Put the copy FILE back in place of the database. The master must be stopped; the old one is kept beside it."""
    from slapos.master.storage.backups import restore as put_back

    config = open_master_config()
    if answers(config.url, config.below("ca", "ca.pem")):
        raise Conflict(
            f"The master at {config.url} is running.",
            reference="master-running",
            context={"address": config.url},
            hint="Stop it, then restore.",
        )
    put_back(config.database, file)
    emit({"path": file, "database": config.database}, lambda: Text(f"The database is that of {file}."))


def answers(url: str, ca_file: str) -> bool:
    """Whether a master answers at ``url``."""
    from slapos.slap.client import Client

    client = Client(master_url=url, ca_file=ca_file, timeout=3.0, patience=0.0)
    try:
        client.text("healthz")
    except HyperopenxError:
        return False
    finally:
        client.close()
    return True
