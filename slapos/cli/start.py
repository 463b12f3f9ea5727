"""The entry point of ``slapos``: while the program is loaded, and once it is done, Ctrl-C just ends it."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Exits with the code of the error's kind; 130 after Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from slapos.cli.main import run

    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = run(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)
