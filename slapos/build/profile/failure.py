"""What went wrong with a part, as an error of ours."""

from __future__ import annotations

import errno

import zc.buildout

from slapos.build.options import Origin
from slapos.model.errors import BuildFailed, HyperopenxError, MachineError, ProfileError


def as_error(error: Exception, part: str, origin: Origin | None = None) -> HyperopenxError:
    """An error of ours whose context has ``part`` and, where known, ``file`` and ``line`` of the section."""
    known = error if isinstance(error, HyperopenxError) else _converted(error, part)
    if part:
        known.context.setdefault("part", part)
    if origin is not None:
        known.context.setdefault("file", origin.file)
        known.context.setdefault("line", origin.line)
    return known


def _converted(error: Exception, part: str) -> HyperopenxError:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MachineError(
            f"The disk is full: {error}.",
            reference="disk-full",
            context={"path": str(error.filename or ""), "part": part},
            hint="Free some space on that file system; the next run continues from what was whole.",
        )
    if isinstance(error, OSError):
        return BuildFailed(f"{part}: {error}.", context={"path": str(error.filename or ""), "errno": error.errno or 0})
    if isinstance(error, zc.buildout.UserError):
        return ProfileError(f"{part}: {error}")
    return BuildFailed(f"{part}: {type(error).__name__}: {error}")
