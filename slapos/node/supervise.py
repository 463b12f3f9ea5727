"""``python -m slapos.node.supervise start|stop CONFIGURATION``: the supervisor of a node, for a unit of its own."""

from __future__ import annotations

import contextlib
import os
import sys

from slapos.model.errors import Conflict, HyperopenxError, InputError
from slapos.node.config import NodeConfig, load_config
from slapos.node.context import layout_of
from slapos.node.wiring import open_supervisor
from slapos.system.files import atomic_write
from slapos.system.locks import is_locked

STOP_SECONDS = 120.0


def name_unit(config: NodeConfig, unit: str, root: str = "/") -> None:
    """From now on systemd is asked to start the supervisor, as ``unit``; empty: who needs it starts it.

    ``root``: of the machine whose node it is.
    """
    path = root.rstrip("/") + layout_of(config).supervisor_unit
    if unit:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        atomic_write(path, unit + "\n", mode=0o600)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def check_stopped(config: NodeConfig) -> None:
    """:class:`Conflict` ``node-running`` while a daemon or a supervisor of this node runs."""
    running = {
        "daemon": is_locked(layout_of(config).lock),
        "supervisor": open_supervisor(config, direct=True).is_running(),
    }
    if any(running.values()):
        raise Conflict(
            f"The {' and the '.join(name for name, runs in running.items() if runs)} of the node {config.name} run"
            f"{'' if all(running.values()) else 's'} already.",
            reference="node-running",
            context={"node": config.name, **running},
            hint="End the daemon, then: python -m slapos.node.supervise stop CONFIGURATION (which ends the services).",
        )


def main(arguments: list[str]) -> int:
    """Exit code: 0, or the one of the error.  ``start`` returns when it answers, ``stop`` when all services ended."""
    try:
        if len(arguments) != 2 or arguments[0] not in ("start", "stop"):
            raise InputError("Say start or stop, and the configuration of the node.", reference="usage")
        supervisor = open_supervisor(load_config(arguments[1]), direct=True)
        if arguments[0] == "start":
            supervisor.ensure()
        else:
            supervisor.shutdown(STOP_SECONDS)
    except HyperopenxError as error:
        sys.stderr.write(f"{error} [{error.reference}]\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
