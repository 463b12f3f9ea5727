"""What went wrong with a part, as an error of ours."""

from __future__ import annotations

import zc.buildout

from slapos.build.options import Origin
from slapos.model.errors import BuildFailed, HyperopenxError, NotReady, ProfileError, machine_error


def as_error(error: Exception, part: str, origin: Origin | None = None) -> HyperopenxError:
    """An error of ours whose context has ``part`` and, where known, ``file`` and ``line`` of the section."""
    known = error if isinstance(error, HyperopenxError) else _converted(error, part)
    if part and known.context.setdefault("part", part) == part and not _names(known, part):
        known.message = f"{part}: {known.message}"
    if origin is not None:
        known.context.setdefault("file", origin.file)
        known.context.setdefault("line", origin.line)
    return known


def _names(error: HyperopenxError, part: str) -> bool:
    """Whether the sentence needs no part in front: it begins with a place in a profile, says what it waits for, or
    names it."""
    return isinstance(error, ProfileError | NotReady) or error.message.startswith(f"{part}:")


def _converted(error: Exception, part: str) -> HyperopenxError:
    if isinstance(error, OSError):
        known = machine_error(error)
        if known.reference == "disk-full":
            return known
        return BuildFailed(f"{part}: {known.message}", context=known.context)
    if isinstance(error, zc.buildout.UserError):
        return ProfileError(f"{part}: {error}")
    return BuildFailed(f"{part}: {type(error).__name__}: {error}")
