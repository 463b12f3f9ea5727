"""Directories for sockets: the path of a Unix socket may have 107 bytes, and state directories may be deep."""

from __future__ import annotations

import hashlib
import os

#: The names of ours below a run directory need less than 45 bytes.
LONGEST = 60


def run_directory(state: str, name: str) -> str:
    """``<state>/run/<name>``, or a short one below ``/tmp`` named after it when sockets would not fit.

    Always the same for the same user, state and name.  Who makes it must make it private, and look that it is.
    """
    wanted = os.path.join(state, "run", name)
    if len(os.fsencode(wanted)) <= LONGEST:
        return wanted
    digest = hashlib.sha256(f"{os.geteuid()}:{wanted}".encode()).hexdigest()[:16]
    return f"/tmp/hox-{digest}"
