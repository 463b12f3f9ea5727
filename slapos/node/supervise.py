"""``python -m slapos.node.supervise start|stop CONFIGURATION``: the supervisor of a node, for a unit of its own."""

from __future__ import annotations

import sys

from slapos.model.errors import HyperopenxError, InputError
from slapos.node.config import load_config
from slapos.node.wiring import open_supervisor

STOP_SECONDS = 120.0


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
