"""``slapos master init``."""

from __future__ import annotations

import os

import click
from rich.text import Text

from slapos.cli.connection import given_cfg
from slapos.cli.lazy import Command
from slapos.cli.output import emit
from slapos.cli.site.layout import site_layout
from slapos.master.config import MasterConfig, load_config, write_config
from slapos.system.files import make_directory


@click.command(cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8443, show_default=True, help="Port to listen on.")
@click.option("--public-url", default="", metavar="URL", help="Address that nodes and people use, when it is another.")
@click.option("--database-url", default="", metavar="URL", help="postgresql+psycopg://…; without it, SQLite.")
@click.option("--operator", default="admin", show_default=True, help="Login of the first operator.")
def init(host: str, port: int, public_url: str, database_url: str, operator: str) -> None:
    """Make a master: its configuration, its certificate authority, and the identity of its first operator.

    What exists already is kept, so that an interrupted command can be repeated.
    """
    from slapos.master.main import initialise

    layout = site_layout()
    path = given_cfg() or layout.master_config
    if os.path.exists(path):
        config = load_config(path)
    else:
        make_directory(os.path.dirname(os.path.abspath(path)), 0o700)
        config = MasterConfig(
            state_directory=os.path.dirname(os.path.abspath(path)),
            host=host,
            port=port,
            public_url=public_url,
            database_url=database_url,
            allowed_release_roots=(layout.catalogue,),
        )
        write_config(config)
    initialise(config, operator=operator)
    emit(
        {"configuration": config.path, "url": config.url, "client": config.client},
        lambda: Text(f"The master of {config.path} will answer at {config.url}; start it with 'slapos master start'."),
    )
