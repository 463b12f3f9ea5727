"""``slapgrid``: the daemon of a node, or one round of it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence

from slapos.model.errors import HyperopenxError
from slapos.node.config import NodeConfig, load_config
from slapos.node.daemon import Daemon
from slapos.node.operations import plan_text, run_once
from slapos.node.wiring import open_node, open_supervisor
from slapos.system.logs import configure_logs

_ROUNDS = ("software", "instance", "report", "promise")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="slapgrid", description="The daemon of a node.")
    parser.add_argument("--cfg", default=os.environ.get("SLAPOS_CONFIGURATION", "/etc/opt/slapos/slapos.cfg"))
    parser.add_argument("--once", choices=_ROUNDS, help="do one round of this and end")
    parser.add_argument("--only", default="", help="comma-separated partitions or releases (URL or md5)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and why; do nothing")
    parser.add_argument("-v", "--verbose", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or the one of the error (docs/reference/errors)."""
    options = parse_arguments(arguments)
    try:
        configure_logs(verbose=options.verbose)
        return _run(load_config(options.cfg), options)
    except HyperopenxError as error:
        sys.stderr.write(f"{error} [{error.reference}]\n" + (f"{error.hint}\n" if error.hint else ""))
        return error.exit_code


def _run(config: NodeConfig, options: argparse.Namespace) -> int:
    only = [name for name in options.only.split(",") if name]
    if options.dry_run:
        sys.stdout.write(plan_text(config, only) + "\n")
        return 0
    if options.once:
        results = run_once(config, options.once, only=only)
        sys.stdout.write(json.dumps(results, indent=2) + "\n")
        return 1 if any(result["settled"] == "failed" for result in results) else 0
    daemon = Daemon(node=open_node(config), event_socket=open_supervisor(config).event_socket)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.stop())
    daemon.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
