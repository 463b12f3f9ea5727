"""Bringing a site up: each step looks first, does only what is missing, and can be cut anywhere."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from slapos.cli.carrying import carried
from slapos.cli.parameters import carried_values
from slapos.cli.progress import Progress
from slapos.cli.site import local_master, local_node
from slapos.cli.site.layout import Layout, program, release_path
from slapos.cli.site.supervise import SiteSupervisor
from slapos.cli.waiting import served, wait_until_served
from slapos.model.errors import MachineError, NotFound
from slapos.model.objects import Instance, InstanceRequest
from slapos.model.states import InstanceState, SupplyReport, SupplyState
from slapos.slap.client import Client, load_client_config
from slapos.system.files import atomic_write, make_directory
from slapos.system.locks import locked

RELEASE = "website"
TITLE = "website"
PARAMETERS = {"title": "My website"}
#: The build from source takes minutes; whoever loses patience loses nothing.
PATIENCE = 2 * 3600.0


@dataclass(frozen=True)
class Site:
    """What a person wants to know once all is up."""

    instance: Instance
    api: str
    ca: str
    command: str
    release: str

    @property
    def url(self) -> str:
        """Where the website answers; empty while it does not (stopped by its owner)."""
        return str(carried_values(self.instance.connection).get("url", ""))


def bring_up(layout: Layout, progress: Progress) -> Site:
    """Master, node, release, instance; returns when the website is served."""
    prepare(layout)
    with locked(os.path.join(layout.state, "up.lock"), what="This site"):
        release = find_release(layout)
        supervisor = SiteSupervisor(layout=layout)
        local_master.ensure_files(layout, progress)
        refresh_programs(layout, supervisor, progress)
        local_master.ensure_running(layout, supervisor, progress)
        client = Client.from_config(load_client_config(layout.client_config))
        node = local_node.ensure_registered(layout, client, progress)
        local_node.ensure_running(layout, supervisor, progress)
        ensure_supplied(client, node, release, progress)
        instance = ensure_ordered(client, node, release, progress)
    instance = wait_for(client, instance, progress)
    return Site(
        instance=instance,
        api=client.master_url,
        ca=load_client_config(layout.client_config).ca_file,
        command=layout.command,
        release=release,
    )


def prepare(layout: Layout) -> None:
    """Directories, and the script that runs ``slapos`` against this site."""
    make_directory(layout.state)
    make_directory(os.path.dirname(layout.command))
    script = (
        "#!/bin/sh\n# Runs slapos against the site of this directory.\n"
        f"HYPEROPENX_STATE={word(layout.state)} HYPEROPENX_CATALOGUE={word(layout.catalogue)}\n"
        "export HYPEROPENX_STATE HYPEROPENX_CATALOGUE\n"
        f'exec {word(program("slapos"))} "$@"\n'
    )
    atomic_write(layout.command, script, mode=0o755)


def word(text: str) -> str:
    import shlex

    return shlex.quote(text)


def find_release(layout: Layout) -> str:
    path = release_path(layout.catalogue, RELEASE)
    if not os.path.isfile(path):
        raise MachineError(
            f"The catalogue has no release {RELEASE!r}.",
            reference="no-catalogue",
            context={"expected": path},
            hint="Run ./bootstrap up in a clone, or name the catalogue with HYPEROPENX_CATALOGUE.",
        )
    return path


def refresh_programs(layout: Layout, supervisor: SiteSupervisor, progress: Progress) -> None:
    """A new version takes over: the master and the node are restarted, the services of the partitions are not."""
    seal = os.path.join(layout.state, "installed")
    installed = f"{sys.prefix} {installed_digest()}\n"
    known = read(seal)
    supervisor.write_config()
    if known != installed and supervisor.is_running():
        with progress.step("Restarting the master and the node with the new version", "The new version took over"):
            supervisor.shut_down()
    supervisor.launch()
    if known != installed:
        atomic_write(seal, installed)


def installed_digest() -> str:
    """What bootstrap noted of the sources that it installed; the version where nobody noted anything."""
    from importlib.metadata import version

    return read(os.path.join(sys.prefix, ".sources")).strip() or version("hyperopenx")


def read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def ensure_supplied(client: Client, node: str, release: str, progress: Progress) -> None:
    supplies = {supply.release: supply for supply in client.node(node).supplies}
    known = supplies.get(release)
    if known is None or known.state is not SupplyState.AVAILABLE:
        client.supply(node, release)
        known = None
    if known is None or known.reported is not SupplyReport.AVAILABLE:
        progress.note(f"The release {RELEASE} is compiled from source: some minutes, once.")


def ensure_ordered(client: Client, node: str, release: str, progress: Progress) -> Instance:
    """The instance as it is when somebody changed or stopped it; a new order when there is none."""
    try:
        known = client.instance(title=TITLE)
        if known.state is not InstanceState.DESTROYED:
            return known
    except NotFound:
        pass
    order = InstanceRequest(
        title=TITLE, release=release, parameters=carried(PARAMETERS, release), sla={"computer_guid": node}
    )
    instance = client.request(order)
    progress.done(f"Ordered the instance {TITLE} ({instance.guid})")
    return instance


def wait_for(client: Client, instance: Instance, progress: Progress) -> Instance:
    if served(instance):
        return instance
    instance = wait_until_served(client, instance, PATIENCE, progress)
    progress.done("The website is served")
    return instance
