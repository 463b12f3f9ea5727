"""``python cut.py <slapos.cfg> <kind> <seconds>``: one round that kills itself at the first action of that kind.

``seconds`` after the action began (0: before it does anything), or when it ended sooner, before the next one does
anything: so every action can be cut on machines of any speed.  Prints the kind when it was reached.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from slapos.node import operations
from slapos.node.config import load_config
from slapos.node.plan import Action


def main(path: str, kind: str, seconds: float) -> None:
    """Exit status -9 when the action was reached, 0 when it was not."""

    def end() -> None:
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    reached = threading.Event()

    def on_action(action: Action) -> None:
        if reached.is_set():
            os.kill(os.getpid(), signal.SIGKILL)
        if action.kind != kind:
            return
        reached.set()
        sys.stdout.write(kind)
        sys.stdout.flush()
        if seconds:
            threading.Thread(target=end, daemon=True).start()
        else:
            end()

    operations.run_once(load_config(path), "software" if kind == "build" else "instance", on_action=on_action)
    time.sleep(seconds * 2)  # an action shorter than the delay


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
