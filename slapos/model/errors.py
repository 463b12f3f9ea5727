"""The tree of errors.

::

    HyperopenxError
    ├── InputError          what a person gave is wrong            exit 2   HTTP 400
    │   └── ProfileError    … in a buildout profile: file, line, section, option
    ├── NotFound            the thing named does not exist         exit 3   HTTP 404
    ├── Refused             the principal may not do this          exit 4   HTTP 403
    │   └── Unauthenticated nobody proved who asks                 exit 4   HTTP 401
    ├── Conflict            the state forbids it                   exit 5   HTTP 409
    ├── NotReady            accepted, not served yet: waiting      exit 75  HTTP 202
    ├── Unavailable         a server cannot be reached; try again  exit 69  HTTP 503
    ├── BuildFailed         compiling or instantiating failed      exit 70  HTTP 500
    ├── MachineError        the machine lacks something: disk, tool, right  exit 71  HTTP 507
    └── InternalError       a defect of ours                       exit 70  HTTP 500

Every error carries a stable ``reference`` (``no-free-partition``), one sentence, the ``context`` (values that
explain it) and a ``hint`` (what to do).  The CLI prints all four; our own API methods send them as an RFC 9457
problem document (``slapos.wire.problems``).
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any, ClassVar


class HyperopenxError(Exception):
    """Base of all errors that a person can cause or must know about."""

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 70
    default_reference: ClassVar[str] = "internal-error"

    def __init__(
        self,
        message: str,
        *,
        reference: str = "",
        context: Mapping[str, Any] | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reference = reference or self.default_reference
        self.context: dict[str, Any] = dict(context or {})
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    def as_data(self) -> dict[str, Any]:
        """``{"kind", "reference", "message", "context", "hint"}``: JSON-compatible when the context is."""
        return {
            "kind": type(self).__name__,
            "reference": self.reference,
            "message": self.message,
            "context": self.context,
            "hint": self.hint,
        }


class InputError(HyperopenxError):
    """What a person gave is wrong; ``context["field"]`` names where."""

    status = 400
    exit_code = 2
    default_reference = "invalid-input"


class ProfileError(InputError):
    """A profile is wrong; the context has ``file``, ``line``, ``section``, ``option`` where known."""

    default_reference = "invalid-profile"


class NotFound(HyperopenxError):
    """The thing named does not exist, or the principal may not know that it does."""

    status = 404
    exit_code = 3
    default_reference = "not-found"


class Refused(HyperopenxError):
    """The principal is known and may not do this."""

    status = 403
    exit_code = 4
    default_reference = "refused"


class Unauthenticated(Refused):
    """Nobody proved who asks."""

    status = 401
    default_reference = "unauthenticated"


class Conflict(HyperopenxError):
    """The state of the system forbids it (a title taken, a destroyed instance, a held lock)."""

    status = 409
    exit_code = 5
    default_reference = "conflict"


class NotReady(HyperopenxError):
    """Accepted and kept, not served yet.  Waiting is not failing."""

    status = 202
    exit_code = 75
    default_reference = "not-ready"


class Unavailable(HyperopenxError):
    """A server cannot be reached or cannot answer now; the same call may succeed later."""

    status = 503
    exit_code = 69
    default_reference = "unavailable"


class BuildFailed(HyperopenxError):
    """A part of a release or of an instance failed; the context has ``part``, ``log`` (path), ``tail`` (lines)."""

    default_reference = "build-failed"


class MachineError(HyperopenxError):
    """The machine lacks something: disk space, a tool, a right."""

    status = 507
    exit_code = 71
    default_reference = "machine"


class InternalError(HyperopenxError):
    """A defect of ours."""


KINDS: dict[str, type[HyperopenxError]] = {
    kind.__name__: kind
    for kind in (
        HyperopenxError,
        InputError,
        ProfileError,
        NotFound,
        Refused,
        Unauthenticated,
        Conflict,
        NotReady,
        Unavailable,
        BuildFailed,
        MachineError,
        InternalError,
    )
}


def machine_error(error: OSError) -> MachineError:
    """What the operating system refused: ``disk-full`` when space is what lacks, else ``operating-system``."""
    path = str(error.filename2 or error.filename or "")  # of a copy, where it went
    context = {"path": path, "errno": error.errno or 0} if path else {"errno": error.errno or 0}
    why = error.strerror or str(error)
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        where = f"{path}: " if path else ""
        return MachineError(f"{where}{why}.", reference="operating-system", context=context)
    where = f"{path} cannot be written ({why})" if path else why
    hint = "Free some space on that file system; the next run continues from what was whole."
    return MachineError(f"The disk is full: {where}.", reference="disk-full", context=context, hint=hint)


def from_data(data: Mapping[str, Any]) -> HyperopenxError:
    """The inverse of :meth:`HyperopenxError.as_data`; an unknown kind becomes an :class:`InternalError`."""
    kind = KINDS.get(str(data.get("kind", "")), InternalError)
    return kind(
        str(data.get("message", "")),
        reference=str(data.get("reference", "")),
        context=data.get("context") or {},
        hint=str(data.get("hint", "")),
    )
