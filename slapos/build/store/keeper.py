"""A process that works on a store as the user who builds there, for somebody else: a node, which may be root.

One JSON document comes in, ``{"roots": […], "what": "look" | "remove" | "sweep", "name": …}``, one goes out:
``{"result": …}`` or ``{"error": …}`` (:meth:`slapos.model.errors.HyperopenxError.as_data`).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slapos.build.store.store import LOCKS, Store
from slapos.build.store.unused import leavings, own_parts, remove_leavings, remove_part
from slapos.build.store.users import used_parts
from slapos.model.errors import HyperopenxError, MachineError, from_data, machine_error
from slapos.system.locks import is_locked
from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, run
from slapos.system.users import Identity

_SECONDS = 3600.0
_ANSWER_BYTES = 64 * 1024 * 1024


def ask_keeper(roots: Sequence[str], what: str, name: str = "", user: Identity | None = None) -> Any:
    """What :data:`WORK` ``what`` gives, done by ``user``; its :class:`HyperopenxError` is raised here too."""
    question = json.dumps({"roots": list(roots), "what": what, "name": name})
    command = [sys.executable, "-P", "-m", "slapos.build.store.keeper"]
    launch = Launch(user=user, environment={**CLEAN_ENVIRONMENT, "PYTHONNOUSERSITE": "true"})
    done = run(command, launch=launch, timeout=_SECONDS, stdin=question.encode(), output_limit=_ANSWER_BYTES)
    try:
        answer = json.loads(done.output.rpartition(b"\n")[2])  # libraries may have warned before
    except ValueError:
        raise MachineError(
            f"Looking after the store {' '.join(roots)} ended with status {done.code}: {done.text.strip()[-500:]}",
            reference="command-failed",
            context={"command": command, "code": done.code},
        ) from None
    if "error" in answer:
        raise from_data(answer["error"])
    return answer["result"]


def _look(store: Store, name: str) -> dict[str, Any] | None:
    """What the root for new parts holds and who noted that he uses it; None when there is nothing to look after."""
    if not store.is_writable or not os.path.isdir(store.root):
        return None
    return {
        "root": store.root,
        "parts": [
            {
                "name": stored.record.name,
                "needs": stored.record.needs,
                "size": stored.record.size,
                "built_at": stored.record.built_at,
                "ours": os.geteuid() in {0, os.lstat(stored.location).st_uid},
            }
            for stored in own_parts(store)
        ],
        "used": used_parts(store),
        "left": sum(not is_locked(os.path.join(store.root, LOCKS, f"{lock}.lock")) for lock, _ in leavings(store)),
    }


def _sweep(store: Store, name: str) -> None:
    remove_leavings(store)


WORK: Mapping[str, Callable[[Store, str], Any]] = {"look": _look, "remove": remove_part, "sweep": _sweep}


def main() -> None:
    """Answer one question."""
    question = json.loads(sys.stdin.read())
    try:
        answer = {"result": WORK[question["what"]](Store(tuple(question["roots"])), question["name"])}
    except HyperopenxError as error:
        answer = {"error": error.as_data()}
    except OSError as error:
        answer = {"error": machine_error(error).as_data()}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
