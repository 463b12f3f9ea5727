"""Check a file.

Options: ``filename``; ``state``: ``empty``, ``not-empty``, ``existing`` or ``missing``; ``newer-than`` (seconds,
optional): it was changed within that time.
"""

from __future__ import annotations

import os
import time

from slapos.promises.checks.options import OptionError, number, text
from slapos.promises.generic import GenericPromise

_STATES = ("empty", "not-empty", "existing", "missing")
_SHOWN = 2000


class RunPromise(GenericPromise):
    """See the module."""

    def sense(self) -> None:
        path, state = text(self, "filename"), text(self, "state")
        if state not in _STATES:
            raise OptionError(f"the option state must be one of {', '.join(_STATES)}, not {state!r}")
        try:
            facts = os.stat(path)
        except FileNotFoundError:
            self.logger.log(20 if state == "missing" else 40, "The file %s does not exist", path)
            return
        except OSError as error:
            self.logger.error("The file %s cannot be looked at: %s", path, error)
            return
        problem = self._problem(path, state, facts)
        if problem:
            self.logger.error("%s", problem)
        else:
            self.logger.info("The file %s is %s", path, state)

    def _problem(self, path: str, state: str, facts: os.stat_result) -> str:
        newest = number(self, "newer-than", 0)
        age = time.time() - facts.st_mtime
        if state == "missing":
            return f"The file {path} exists"
        if state == "empty" and facts.st_size:
            return f"The file {path} is not empty: {_beginning(path)}"
        if state == "not-empty" and not facts.st_size:
            return f"The file {path} is empty"
        if newest and age > newest:
            return f"The file {path} was changed {age:.0f} seconds ago, more than {newest:.0f}"
        return ""


def _beginning(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(_SHOWN)
    except OSError as error:
        return str(error)
