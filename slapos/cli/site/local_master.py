"""The master of a site: its files, and its process."""

from __future__ import annotations

import os
import socket
import time

from slapos.cli.progress import Progress
from slapos.cli.site.layout import Layout
from slapos.cli.site.supervise import SiteSupervisor
from slapos.master.config import MasterConfig, load_config, write_config
from slapos.model.errors import HyperopenxError, Unavailable
from slapos.slap.client import Client, load_client_config
from slapos.system.files import make_directory

HOST = "127.0.0.1"
PORT = 8443
ANSWER_SECONDS = 60.0
OPERATOR = "admin"


def ensure_files(layout: Layout, progress: Progress) -> MasterConfig:
    """Configuration, authority, certificates and the identity of the operator; what is there stays."""
    from slapos.master.main import initialise

    if os.path.exists(layout.master_config):
        config = load_config(layout.master_config)
        complete = os.path.exists(layout.client_config)
    else:
        make_directory(layout.master, 0o700)
        config = new_config(layout)
        write_config(config)
        complete = False
    if not complete:
        with progress.step(
            "Making the master and its certificate authority", "Made a master with its own certificate authority"
        ):
            initialise(config, operator=OPERATOR)
    return config


def new_config(layout: Layout) -> MasterConfig:
    port = free_port(PORT)
    return MasterConfig(
        state_directory=layout.master,
        host=HOST,
        port=port,
        public_url=f"https://{HOST}:{port}",
        allowed_release_roots=(layout.catalogue,),
        client_directory=layout.client,
    )


def free_port(wanted: int) -> int:
    """``wanted`` when nobody listens there, else one that the system chooses."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return wanted


def ensure_running(layout: Layout, supervisor: SiteSupervisor, progress: Progress) -> None:
    """Started, and answering.

    :raises Unavailable: ``master-does-not-answer`` with the address and the log.
    """
    with progress.step("Starting the master") as say:
        started = supervisor.start_program("master")
        wait_for_answer(layout)
        if started:
            say(f"The master answers at {load_client_config(layout.client_config).master_url}")


def wait_for_answer(layout: Layout) -> None:
    config = load_client_config(layout.client_config)
    client = Client.from_config(config, timeout=5.0, patience=0.0)
    deadline = time.monotonic() + ANSWER_SECONDS
    try:
        while True:
            try:
                client.text("healthz")
                return
            except HyperopenxError as error:
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"The master at {config.master_url} does not answer.",
                        reference="master-does-not-answer",
                        context={"address": config.master_url, "last": error.message, "log": log_path(layout)},
                        hint="The end of the log says why.",
                    ) from error
            time.sleep(0.05)
    finally:
        client.close()


def log_path(layout: Layout) -> str:
    return os.path.join(layout.log, "master.log")
