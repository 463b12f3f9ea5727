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

_DISK_FULL = os.strerror(errno.ENOSPC)
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

    def error(self, sentence: str, reference: str, hint: str) -> BuildFailed:
        return BuildFailed(
            f"The command {self.shown!r} {sentence}", reference=reference, context=self.context(), hint=hint
        )


def explained(failure: Failure) -> HyperopenxError:
    """The error to raise; the first explanation that fits."""
    for explain in (_by_limit, _disk_full, _network, _outside, _undeclared):
        error = explain(failure)
        if error is not None:
            return error
    code = failure.ending.code
    how = f"was ended by signal {-code}" if code < 0 else f"failed with status {code}"
    return failure.error(f"{how}.", "build-command-failed", f"The whole log is {failure.log}.")


_LIMITS: Mapping[Reason, tuple[str, str, str]] = {
    "time": (
        "ran for {amount:.0f} s and was ended: a command of a build has {limits.seconds:.0f} s.",
        "build-too-slow",
        "If it is right that it takes so long, raise `command-seconds` in [buildout].",
    ),
    "idle": (
        "hung and was ended: for {amount:.0f} s it wrote nothing and used no processor time.",
        "build-hangs",
        "Does it wait for an answer, a lock or a server?  Builds get none.  `command-idle-seconds` in [buildout].",
    ),
    "processes": (
        "had {amount:.0f} processes at once and was ended: a command of a build has {limits.processes}.",
        "too-many-processes",
        "Does it start itself again without end?  `command-processes` in [buildout] is the limit.",
    ),
    "disk": (
        "wrote {amount:.0f} bytes and was ended: a part has {limits.disk_bytes} bytes to be built in.",
        "build-too-large",
        "If it is right that it needs so much, raise `build-bytes` in [buildout].",
    ),
}


def _by_limit(failure: Failure) -> HyperopenxError | None:
    ending, limits = failure.ending, failure.limits
    if ending.reason == "disk-full":
        return _full(failure, f"only {ending.amount:.0f} bytes were left while {failure.shown!r} ran.")
    if ending.reason:
        sentence, reference, hint = _LIMITS[ending.reason]
        return failure.error(sentence.format(amount=ending.amount, limits=limits), reference, hint)
    if ending.code in (-signal.SIGXFSZ, 128 + signal.SIGXFSZ) or failure.line(lambda line: _TOO_LARGE in line):
        sentence = f"wrote a file of more than {limits.disk_bytes} bytes, all that a part has to be built in."
        return failure.error(sentence, "build-too-large", _LIMITS["disk"][2])
    return None


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
    hint = "Name what it fetches as a source (url and sha256): all sources are fetched before anything is built."
    return (
        failure.error(f"needs the network, which builds do not have: {line}", "needs-network", hint) if line else None
    )


def _outside(failure: Failure) -> HyperopenxError | None:
    line = failure.line(lambda line: _READ_ONLY in line) if failure.sandbox else ""
    hint = "It may write below its source directory, /tmp, and its own location; does it install without DESTDIR?"
    return failure.error(f"wrote outside its part: {line}", "writes-outside", hint) if line else None


def _undeclared(failure: Failure) -> HyperopenxError | None:
    """It looks for what this machine has and the part does not name."""
    if failure.sandbox is None:
        return None
    for line in reversed(failure.tail):
        for found in _hidden(line, failure.sandbox):
            sentence = f"looked for {found}, which is on this machine and not declared: {line.strip()}"
            hint = (
                "A build sees the parts that its options name and the compiler's packages.  Make it a part and write "
                "${that part:location} in an option."
            )
            return failure.error(sentence, "undeclared-input", hint)
    return None


def _hidden(line: str, sandbox: Sandbox) -> list[str]:
    """What a line of the log names that exists outside the sandbox and not inside."""
    names = []
    if "No such file" in line or "not found" in line or "annot find" in line:
        names += [f"/usr/include/{header}" for header in _HEADER.findall(line)]
        names += [_library(name) for name in _LIBRARY.findall(line)]
        names += [shutil.which(name) or "" for name in _PROGRAM.findall(line)]
        names += _PATH.findall(line)
    return [name for name in names if name and os.path.lexists(name) and not _exists_inside(name, sandbox)]


def _library(name: str) -> str:
    """Where a linker of this machine finds a library; empty when nowhere."""
    places = [f"/usr/lib/{entry}" for entry in os.listdir("/usr/lib") if entry.endswith("-linux-gnu")]
    files = (f"{place}/lib{name}.{kind}" for place in (*places, "/usr/lib", "/usr/local/lib") for kind in ("so", "a"))
    return next(filter(os.path.lexists, files), "")


def _exists_inside(path: str, sandbox: Sandbox) -> bool:
    outside = sandbox.outside(path)
    return bool(outside) and os.path.lexists(outside)
