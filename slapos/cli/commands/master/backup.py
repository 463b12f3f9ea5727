"""``slapos master backup``."""

from __future__ import annotations

import os
import time

import click
from rich.text import Text

from slapos.cli.commands.master.config import open_master_config
from slapos.cli.lazy import Command
from slapos.cli.output import emit


@click.command(cls=Command)
@click.argument("file", required=False, type=click.Path())
def backup(file: str | None) -> None:
    """Copy the database to FILE (default: a dated file among the backups of the master) while it is in use.

    The authority's key lies beside the database in the master's state directory; copy it apart, once, to a safe place.
    """
    from slapos.master.storage.backups import backup as copy_database

    config = open_master_config()
    path = os.path.abspath(file or config.below("backups", time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + ".db"))
    copy_database(config.database, path)
    size = os.path.getsize(path)
    emit({"path": path, "bytes": size}, lambda: Text(f"{path}  {size / 1024:.0f} KiB"))
