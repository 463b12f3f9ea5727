"""What runs of a site: the master, the daemon, the node, its instances.  Nothing is changed or waited for."""

from __future__ import annotations

import os
from dataclasses import dataclass

from slapos.cli.site.layout import Layout
from slapos.cli.site.supervise import PROGRAMS, ProgramStatus, SiteSupervisor
from slapos.model.errors import HyperopenxError
from slapos.model.objects import Instance, NodeView
from slapos.slap.client import Client, load_client_config


@dataclass(frozen=True)
class SiteStatus:
    """``problem`` says why the master could not be asked; then nodes and instances are empty."""

    state: str
    api: str
    programs: tuple[ProgramStatus, ...]
    nodes: tuple[NodeView, ...] = ()
    instances: tuple[Instance, ...] = ()
    problem: str = ""

    @property
    def made(self) -> bool:
        """Whether there is a site at all."""
        return bool(self.api)


def look(layout: Layout) -> SiteStatus:
    if not os.path.exists(layout.client_config):
        return SiteStatus(layout.state, "", ())
    known = SiteSupervisor(layout=layout).statuses()
    programs = tuple(known.get(name, ProgramStatus(name, "stopped", 0, 0)) for name in PROGRAMS)
    config = load_client_config(layout.client_config)
    client = Client.from_config(config, timeout=10.0, patience=0.0)
    try:
        nodes = tuple(client.node(node.reference) for node in client.nodes())
        return SiteStatus(layout.state, config.master_url, programs, nodes, client.roots())
    except HyperopenxError as error:
        return SiteStatus(layout.state, config.master_url, programs, problem=error.message)
    finally:
        client.close()
