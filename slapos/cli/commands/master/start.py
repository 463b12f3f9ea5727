"""``slapos master start``."""

from __future__ import annotations

import logging
import os
import sys

import click

from slapos.cli.commands.master.config import open_master_config
from slapos.cli.lazy import Command
from slapos.system.logs import configure_logs


@click.command(cls=Command)
def start() -> None:
    """Run the master in the foreground until it gets SIGTERM or Ctrl-C.

    The configuration is --cfg, or that of this machine's site.
    """
    from slapos.master.main import serve

    configure_logs()
    serve(open_master_config())
    logging.shutdown()
    sys.stdout.flush()
    # All that was acknowledged is on disk; a thread that still fetches a document must not keep the process.
    os._exit(0)
