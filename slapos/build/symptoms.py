"""Why a command of a build failed, in a sentence: what the limits, the sandbox and its last lines say."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from slapos.build.sandbox import Sandbox
from slapos.build.watch import BuildLimits, Ending, Reason
from slapos.model.errors import BuildFailed, HyperopenxError, MachineError
from slapos.model.text import size_text

_DISK_FULL = os.strerror(errno.ENOSPC)
_FORK = re.compile("cannot fork|fork: .*(resource temporarily unavailable|retry)", re.IGNORECASE)
_TOO_LARGE = "File size limit exceeded"
_READ_ONLY = os.strerror(errno.EROFS)
_NETWORK = re.compile(
    "network is unreachable|temporary failure in name resolution|could not resolve (host|proxy)|unable to resolve host"
    "|name or service not known|unknown host|failed to lookup address|getaddrinfo (EAI_AGAIN|ENOTFOUND)"
    "|no route to host",
    re.IGNORECASE,
)
_HEADER = re.compile(r"fatal error: ([A-Za-z0-9_./+-]+): No such file")
_LIBRARY = re.compile(r"cannot find -l([A-Za-z0-9_+.-]+)")
_PROGRAM = re.compile(
    r"(?:\d+: |line \d+: |make: |env: [‘'])([A-Za-z0-9_.+-]+)['’]?: (?:command |No such file|not found)"
)
_SHELL = re.compile(r"^\s*\S*/[a-z]*sh: (?:line )?\d+: ")
_PATH = re.compile(r"/[A-Za-z0-9_@%+=:,./-]*[A-Za-z0-9_@%+=-]")


@dataclass(frozen=True)
class Failure:
    """A command that failed: ``shown`` to people, how it ended, the last lines and path of its log."""

    shown: str
    ending: Ending
    tail: Sequence[str]
    log: str
    limits: BuildLimits
    sandbox: Sandbox | None = None

    def line(self, test: Callable[[str], object]) -> str:
        """The last of the last lines for which ``test`` is true; empty when there is none."""
        return next((line.strip() for line in reversed(self.tail) if test(line)), "")

    def context(self, **more: object) -> dict[str, object]:
        return {"code": self.ending.code, "log": self.log, "tail": list(self.tail), **more}

    @property
    def command(self) -> str:
        return f"The command {self.shown!r}"


def explained(failure: Failure) -> HyperopenxError:
    """The error to raise; the first explanation that fits."""
    for explain in (_by_limit, _disk_full, _network, _outside, _undeclared):
        error = explain(failure)
        if error is not None:
            return error
    code = failure.ending.code
    how = f"was ended by signal {-code}" if code < 0 else f"failed with status {code}"
    return BuildFailed(
        f"{failure.command} {how}.",
        reference="build-command-failed",
        context=failure.context(),
        hint=f"The whole log is {failure.log}.",
    )


def _by_limit(failure: Failure) -> HyperopenxError | None:
    ending = failure.ending
    if ending.reason:
        return _LIMITS[ending.reason](failure)
    if ending.code in (-signal.SIGXFSZ, 128 + signal.SIGXFSZ) or failure.line(lambda line: _TOO_LARGE in line):
        return _too_large(failure)
    return _too_many(failure) if failure.sandbox and failure.line(_FORK.search) else None


def _too_slow(failure: Failure) -> HyperopenxError:
    return BuildFailed(
        f"{failure.command} was ended after {failure.ending.amount:.0f} s: one command of a build has no longer.",
        reference="build-too-slow",
        context=failure.context(limit=failure.limits.seconds),
        hint="If it is right that it takes so long, raise `command-seconds` in [buildout].",
    )


def _hangs(failure: Failure) -> HyperopenxError:
    return BuildFailed(
        f"{failure.command} hung and was ended: for {failure.ending.amount:.0f} s it wrote nothing and used no "
        "processor time.",
        reference="build-hangs",
        context=failure.context(limit=failure.limits.idle_seconds),
        hint="Does it wait for an answer, a lock or a server?  Builds get none.  The limit is `command-idle-seconds` "
        "in [buildout].",
    )


def _too_many(failure: Failure) -> HyperopenxError:
    return BuildFailed(
        f"{failure.command} had more than {failure.limits.processes} processes at once and was ended.",
        reference="too-many-processes",
        context=failure.context(limit=failure.limits.processes, processes=failure.ending.amount),
        hint="Does it start itself again without end?  The limit is `command-processes` in [buildout].",
    )


def _too_much_memory(failure: Failure) -> HyperopenxError:
    return BuildFailed(
        f"{failure.command} used more than {size_text(failure.limits.memory_bytes)} of memory and was killed.",
        reference="too-much-memory",
        context=failure.context(limit=failure.limits.memory_bytes, used=failure.ending.amount),
        hint="If it is right that it needs so much, give it more with `command-memory` in [buildout] (bytes), or build "
        "with fewer jobs at once.",
    )


def _too_large(failure: Failure) -> HyperopenxError:
    return BuildFailed(
        f"{failure.command} wrote more than {failure.limits.disk_bytes} bytes, all that a part has to be built in.",
        reference="build-too-large",
        context=failure.context(limit=failure.limits.disk_bytes, used=failure.ending.amount),
        hint="If it is right that it needs so much, raise `build-bytes` in [buildout].",
    )


def _no_space(failure: Failure) -> HyperopenxError:
    return _full(failure, f"only {failure.ending.amount:.0f} bytes were left while {failure.shown!r} ran.")


_LIMITS: Mapping[Reason, Callable[[Failure], HyperopenxError]] = {
    "time": _too_slow,
    "idle": _hangs,
    "processes": _too_many,
    "memory": _too_much_memory,
    "disk": _too_large,
    "disk-full": _no_space,
}


def _disk_full(failure: Failure) -> HyperopenxError | None:
    line = failure.line(lambda line: _DISK_FULL in line)
    return _full(failure, line) if line else None


def _full(failure: Failure, what: str) -> MachineError:
    return MachineError(
        f"The disk is full: {what}",
        reference="disk-full",
        context=failure.context(),
        hint="Free some space on that file system; the next run continues from what was whole.",
    )


def _network(failure: Failure) -> HyperopenxError | None:
    line = failure.line(_NETWORK.search) if failure.sandbox else ""
    if not line:
        return None
    return BuildFailed(
        f"{failure.command} needs the network, which builds do not have: {line}",
        reference="needs-network",
        context=failure.context(),
        hint="Name what it fetches as a source (url and sha256): all sources are fetched before anything is built.",
    )


def _outside(failure: Failure) -> HyperopenxError | None:
    line = failure.line(lambda line: _READ_ONLY in line) if failure.sandbox else ""
    if not line:
        return None
    return BuildFailed(
        f"{failure.command} wrote outside its part: {line}",
        reference="writes-outside",
        context=failure.context(),
        hint="It may write below its source directory, /tmp and its own location.  Does it install without DESTDIR?",
    )


def _undeclared(failure: Failure) -> HyperopenxError | None:
    """It looks for what this machine has and the part does not name."""
    if failure.sandbox is None:
        return None
    for line in reversed(failure.tail):
        for found in _hidden(line, failure.sandbox):
            return BuildFailed(
                f"{failure.command} looked for {found}, which is on this machine and not declared: {line.strip()}",
                reference="undeclared-input",
                context=failure.context(path=found),
                hint="A build sees the parts that its options name and the compiler's packages.  Make it a part and "
                "write ${that part:location} in an option.",
            )
    return None


def _hidden(line: str, sandbox: Sandbox) -> list[str]:
    """What a line of the log names that exists outside the sandbox and not inside."""
    names = []
    if "No such file" in line or "not found" in line or "annot find" in line:
        names += [f"/usr/include/{header}" for header in _HEADER.findall(line)]
        names += [_library(name) for name in _LIBRARY.findall(line)]
        names += [shutil.which(name) or "" for name in _PROGRAM.findall(line)]
        names += _PATH.findall(_SHELL.sub("", line))  # who complains is not what is missing
    return [name for name in names if name and os.path.lexists(name) and not _exists_inside(name, sandbox)]


def _library(name: str) -> str:
    """Where a linker of this machine finds a library; empty when nowhere."""
    places = [f"/usr/lib/{entry}" for entry in os.listdir("/usr/lib") if entry.endswith("-linux-gnu")]
    files = (f"{place}/lib{name}.{kind}" for place in (*places, "/usr/lib", "/usr/local/lib") for kind in ("so", "a"))
    return next(filter(os.path.lexists, files), "")


def _exists_inside(path: str, sandbox: Sandbox) -> bool:
    outside = sandbox.outside(path)
    return bool(outside) and os.path.lexists(outside)
