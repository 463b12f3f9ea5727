"""The master's process: ``python -m slapos.master.main <master.cfg>`` serves until SIGTERM."""

from __future__ import annotations

import logging
import os
import sys
import time

from slapos.master.config import MasterConfig, load_config
from slapos.master.field.caller import LEGACY_PROJECT
from slapos.master.initialise import OperatorFiles, initialise
from slapos.master.server import make_server
from slapos.master.services import identities
from slapos.master.storage.database import open_storage
from slapos.master.tls import authority_of, ensure_server_certificate
from slapos.model.errors import HyperopenxError
from slapos.system.logs import configure_logs

__all__ = ["MasterConfig", "OperatorFiles", "initialise", "load_config", "serve"]


def serve(config: MasterConfig) -> None:
    """Serve until SIGTERM or SIGINT; after SIGKILL the next start finds every acknowledged write."""
    authority_of(config).create(time.time())
    ensure_server_certificate(config, time.time())
    storage = open_storage(config.database, backup_directory=config.below("backups"))
    try:
        if config.insecure_legacy_listener is not None:
            storage.write(lambda tx: identities.ensure_project(tx, LEGACY_PROJECT, time.time()))
        make_server(config, storage).run()
    finally:
        storage.close()


def main(arguments: list[str]) -> int:
    """Serve the configuration named by the one argument; the exit code of the error tree on failure."""
    try:
        configure_logs()
        serve(load_config(arguments[0]))
    except HyperopenxError as error:
        sys.stderr.write(f"{error.reference}: {error.message}\n{error.hint}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    logging.shutdown()
    # Everything acknowledged is on disk; a worker thread that still fetches a document must not keep the process.
    os._exit(status)
