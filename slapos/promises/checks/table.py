"""The built-in checks by name: module to import ``RunPromise`` from.

The field's spelling with ``check_`` is accepted too.  Options are described in each module's docstring.
"""

from __future__ import annotations

from slapos.model.errors import InputError

CHECKS = {
    name: f"slapos.promises.checks.{name}"
    for name in (
        "certificate",
        "command_execute",
        "file_state",
        "free_disk_space",
        "log_rotation",
        "socket_listening",
        "url_available",
    )
}


def check_module(name: str) -> str:
    """The module of a check; :class:`InputError` ``no-such-check``."""
    found = CHECKS.get(name.removeprefix("check_"))
    if found is None:
        raise InputError(
            f"There is no check {name!r}.",
            reference="no-such-check",
            context={"field": "check", "value": name, "known": sorted(CHECKS)},
            hint=f"Use one of: {', '.join(sorted(CHECKS))}.",
        )
    return found
