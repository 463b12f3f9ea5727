"""The node of a site: registered and formatted once, its daemon started, its services stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os

from slapos.cli.progress import Progress
from slapos.cli.site.layout import ROOT_STATE, Layout
from slapos.cli.site.supervise import SiteSupervisor
from slapos.model.errors import HyperopenxError, MachineError, Refused
from slapos.node import operations
from slapos.node.config import NodeConfig, load_config
from slapos.node.register import register, site_config
from slapos.node.supervisor.spawn import MARK
from slapos.node.wiring import open_supervisor
from slapos.slap.client import Client, load_client_config
from slapos.system.files import atomic_write, make_directory
from slapos.system.proctable import environment_of, process_table
from slapos.system.short_paths import run_directory

DAEMON_SECONDS = 60.0
_NUMBERS = 250
_PREFIX = "hox"


def ensure_registered(layout: Layout, client: Client, progress: Progress) -> str:
    """The node's reference.  Made and formatted when there is none; what is there stays."""
    if not os.path.exists(layout.node_config):
        with progress.step("Making this machine a node") as say:
            config = enrol(layout, client)
            say(f"This machine is the node {config.computer_id}")
    config = load_config(layout.node_config)
    if not client.node(config.computer_id).partitions:
        with progress.step("Making its partitions") as say:
            made = operations.format_node(config)
            say(f"It has {len(made.partitions)} partitions")
    return config.computer_id


def enrol(layout: Layout, client: Client) -> NodeConfig:
    """The token is kept until it has served: cut anywhere, the next run enrols the same node, not another one."""
    ca = load_client_config(layout.client_config).ca_file
    wished = wished_config(layout, client.master_url)
    kept = os.path.join(layout.node_directory, "token")
    make_directory(layout.node_directory, 0o755)
    if not os.path.exists(kept):
        atomic_write(kept, client.token("node", name=layout.node), mode=0o600)
    with open(kept, encoding="ascii") as stream:
        token = stream.read()
    try:
        return register(layout.node_directory, wished, token, ca_file=ca)
    except Refused:  # too old, or of another master
        return register(layout.node_directory, wished, client.token("node", name=layout.node), ca_file=ca)
    finally:
        if os.path.exists(layout.node_config):
            os.unlink(kept)


def wished_config(layout: Layout, master_url: str) -> NodeConfig:
    """Names and addresses are this site's own: two sites on one machine share neither users nor addresses."""
    base = site_config(
        layout.node_directory,
        name=layout.node,
        master_url=master_url,
        run_directory=run_directory(layout.state, layout.node),
    )
    number, prefix = own_numbers(layout.state)
    return dataclasses.replace(base, node_number=number, name_prefix=prefix)


def own_numbers(state: str) -> tuple[int, str]:
    """``(node_number, name_prefix)``; the usual state directory has 1 and ``hox``, another one its own."""
    if state == ROOT_STATE:
        return 1, _PREFIX
    digest = hashlib.sha256(f"{os.geteuid()}:{state}".encode()).digest()
    return 2 + int.from_bytes(digest[:2], "big") % (_NUMBERS - 1), f"{_PREFIX}{digest.hex()[:4]}"


def ensure_running(layout: Layout, supervisor: SiteSupervisor, progress: Progress) -> None:
    """The daemon holds the node.  Formatted again first: a reboot takes addresses away."""
    config = load_config(layout.node_config)
    with progress.step("Starting the node daemon") as say:
        if supervisor.is_started("slapgrid"):
            return
        with contextlib.suppress(HyperopenxError):  # the daemon says what is missing; an old format is better than none
            operations.format_node(config)
        supervisor.start_program("slapgrid")
        if not operations.wait_for_daemon(config, DAEMON_SECONDS):
            raise MachineError(
                "The node daemon does not start.",
                reference="daemon-not-started",
                context={"log": os.path.join(layout.log, "slapgrid.log")},
                hint="The end of the log says why.",
            )
        say("The node daemon runs")


def stop_services(layout: Layout) -> tuple[str, ...]:
    """Names of the services that ran.  Those that outlived a killed supervisor are adopted first, then stopped."""
    if not os.path.exists(layout.node_config):
        return ()
    config = load_config(layout.node_config)
    supervisor = open_supervisor(config)
    if not supervisor.is_running():
        if not outlived(os.path.realpath(supervisor.store)):
            return ()
        supervisor.ensure()
    running = tuple(name for name, status in supervisor.services().items() if status.pid)
    operations.stop_services(config)
    return running


def outlived(store: str) -> bool:
    """Whether processes of services run although their supervisor does not."""
    return any(environment_of(pid).get(MARK, "").startswith(f"{store}/") for pid in process_table())
