"""Check that a command succeeds.

Options: ``command`` (a shell command line, or with ``command-list``: one argument a line and no shell).  The runner's
time limit ends it with all that it started.
"""

from __future__ import annotations

import os

from slapos.promises.checks.options import number, text
from slapos.promises.generic import GenericPromise
from slapos.system.processes import Launch, run


class RunPromise(GenericPromise):
    """See the module."""

    def sense(self) -> None:
        arguments = text(self, "command-list", "").splitlines()
        command = arguments or ["/bin/sh", "-c", text(self, "command")]
        timeout = number(self, "promise-timeout", 20)
        launch = Launch(directory=self.getPartitionFolder() or "/", environment=dict(os.environ))
        done = run(command, launch=launch, timeout=max(0.1, timeout - 1), output_limit=4000)
        shown = done.text.strip()
        if done.timed_out:
            self.logger.error("The command did not end within %.0f seconds: %s", timeout - 1, shown)
        elif done.code:
            self.logger.error("The command failed with status %s: %s", done.code, shown)
        else:
            self.logger.info("The command succeeded: %s", shown)
