"""What refreshing a file of locked packages is told, and what comes out; see ``wheels`` and ``node_packages``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from slapos.model.errors import Conflict, InputError, NotFound, Unavailable
from slapos.system.processes import Completed


@dataclass(frozen=True)
class LockFile:
    """The file at ``path`` that ``part`` names, with its ``text``, empty where there is none yet.

    ``wanted``: packages to pin instead of those that are; ``accept`` other bytes of the same version; ``tool``: the
    interpreter or the npm, empty for the machine's; ``python_version`` of an interpreter that is not built yet.
    """

    part: str
    path: str
    text: str
    wanted: tuple[str, ...] = ()
    accept: bool = False
    tool: str = ""
    python_version: str = ""


@dataclass(frozen=True)
class Exact:
    """One package of a lock: ``digests`` are those of its accepted files, in the form of the lock."""

    version: str
    digests: tuple[str, ...]


def differences(old: Mapping[str, Exact], new: Mapping[str, Exact]) -> list[tuple[str, str, str]]:
    """Package, what was pinned and what is now, for each that is not the same."""
    names = sorted(old.keys() | new.keys())
    return [(name, _told(old.get(name)), _told(new.get(name))) for name in names if old.get(name) != new.get(name)]


def require_same_bytes(lock: LockFile, old: Mapping[str, Exact], new: Mapping[str, Exact]) -> None:
    """:class:`Conflict` ``source-changed`` when a version that stays has bytes that are not pinned."""
    for name in [] if lock.accept else old.keys() & new.keys():
        before, now = old[name], new[name]
        other = [digest for digest in now.digests if digest not in before.digests]
        if before.version == now.version and other:
            raise Conflict(
                f"[{lock.part}] accepts {name} {now.version} with {before.digests[0]}, "
                f"but the registry has it with {other[0]} now.",
                reference="source-changed",
                context={"part": lock.part, "package": name, "accepted": list(before.digests), "got": other[0]},
                hint="Another file of this version serves another machine or Python; --accept pins it too. "
                "If it is the same file with other bytes, find out why first.",
            )


def declared_beside(lock: LockFile, path: str) -> bool:
    """Whether the file that says what is wanted exists; it and ``wanted`` would contradict each other."""
    if not os.path.exists(path):
        return False
    if lock.wanted:
        raise InputError(
            f"The packages of [{lock.part}] are those that {path} names.",
            reference="packages-declared",
            context={"part": lock.part, "file": path},
            hint="Change that file instead of giving --package.",
        )
    return True


def require_wanted(lock: LockFile, wanted: Iterable[str]) -> None:
    """:class:`InputError` ``no-packages``."""
    if not any(wanted):
        raise InputError(
            f"[{lock.part}]: nothing says which packages {lock.path} is to pin.",
            reference="no-packages",
            context={"part": lock.part, "file": lock.path},
            hint="Say with --package what it needs; what these need is found.",
        )


def unavailable(lock: LockFile, done: Completed, tool: str, is_error: Callable[[str], bool]) -> Unavailable:
    """What a tool said when it could not resolve packages."""
    lines = [line.strip() for line in done.text.splitlines() if line.strip()]
    told = [line for line in lines if is_error(line)]
    return Unavailable(
        f"[{lock.part}]: {tool} cannot choose the packages: {' '.join(told[:3] or lines[-3:])[:400]}",
        reference="source-unreachable",
        context={"part": lock.part, "tail": lines[-20:]},
    )


def text_at(path: str) -> str:
    """The text of a file, empty where there is none; :class:`NotFound` for a directory that is not there."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        if not os.path.isdir(os.path.dirname(path)):
            raise NotFound(f"{path} has no directory.", reference="missing-file", context={"path": path}) from None
        return ""


def json_text(data: object) -> str:
    """As npm writes its files."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _told(exact: Exact | None) -> str:
    if exact is None:
        return ""
    count = len(exact.digests)
    first = exact.digests[0] if exact.digests else "nothing"
    return f"{exact.version} ({first[:19]}…{f' and {count - 1} more' if count > 1 else ''})"
