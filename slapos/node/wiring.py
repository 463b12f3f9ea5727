"""Puts a node together from its configuration."""

from __future__ import annotations

import os

from slapos.build.warm import Warm
from slapos.node.config import NodeConfig
from slapos.node.context import Node, layout_of, make_client, make_directories
from slapos.node.desired import Desired
from slapos.node.supervisor.supervisord import Supervisord
from slapos.system.service_manager import is_booted


def open_supervisor(config: NodeConfig, *, direct: bool = False) -> Supervisord:
    """The supervisor of a node; it is not started by this.

    ``direct``: it is started from here even where systemd runs it in a unit of its own.
    """
    return Supervisord(
        run_directory=config.run_directory,
        store=layout_of(config).services,
        log=os.path.join(config.log_directory, "supervisord.log"),
        unit="" if direct else _unit(config),
    )


def _unit(config: NodeConfig) -> str:
    """Of the supervisor; empty where it is started by who needs it."""
    try:
        with open(layout_of(config).supervisor_unit, encoding="utf-8") as stream:
            return stream.read().strip() if is_booted() else ""
    except FileNotFoundError:
        return ""


def open_node(config: NodeConfig, *, patience: float = 10.0) -> Node:
    """Everything that a cycle works with.  ``patience``: seconds for which an unreachable master is tried again."""
    make_directories(config)
    paths = layout_of(config)
    return Node(
        config=config,
        layout=paths,
        client=make_client(config, patience=patience),
        supervisor=open_supervisor(config),
        engine=Warm(run_directory=config.run_directory),
        desired=Desired(paths.desired),
    )
