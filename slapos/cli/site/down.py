"""Stopping all that ``slapos up`` started, and nothing else.  What is on disk stays: ``up`` continues from there."""

from __future__ import annotations

import os
from dataclasses import dataclass

from slapos.cli.progress import Progress
from slapos.cli.site import local_node
from slapos.cli.site.layout import Layout
from slapos.cli.site.supervise import SiteSupervisor
from slapos.system.locks import locked


@dataclass(frozen=True)
class Stopped:
    """What was running and is not any more."""

    programs: tuple[str, ...]
    services: tuple[str, ...]


def take_down(layout: Layout, progress: Progress) -> Stopped:
    """The daemon first, so that it starts nothing again; then the services, the master, the supervisor."""
    if not os.path.isdir(layout.state):
        return Stopped((), ())
    with locked(os.path.join(layout.state, "up.lock"), timeout=30.0, what="This site"):
        supervisor = SiteSupervisor(layout=layout)
        programs = tuple(name for name, status in supervisor.statuses().items() if status.pid)
        with progress.step("Stopping the node daemon"):
            supervisor.stop_program("slapgrid")
        with progress.step("Stopping the services of the partitions"):
            services = local_node.stop_services(layout)
        with progress.step("Stopping the master"):
            supervisor.shut_down()
        return Stopped(programs, services)
