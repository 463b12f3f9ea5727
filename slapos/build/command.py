"""Runs the commands of a build, their output in a log file, and tells the last lines when one fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence

from slapos.build.jobserver import one_by_one, shared_descriptors
from slapos.model.errors import BuildFailed, MachineError
from slapos.system.processes import Launch, start

TAIL_LINES = 30
_DISK_FULL = os.strerror(errno.ENOSPC)


class CommandLog:
    """Commands of one part: each is written to ``path`` before it runs, its output after it.

    A pool of job slots that ``environment`` names is shared with each command.
    """

    def __init__(self, path: str, *, environment: Mapping[str, str]) -> None:
        self.path = path
        self.environment = dict(environment)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8"):
            pass

    def run(self, command: Sequence[str], directory: str, alone: bool = False) -> None:
        """Run to the end; ``BuildFailed`` ``build-command-failed`` with ``log`` and ``tail`` when it fails.

        ``alone``: a make in it runs one job at a time.
        """
        self.note(f"# cd {directory}\n$ {' '.join(command)}")
        environment = one_by_one(self.environment) if alone else self.environment
        launch = Launch(directory=directory, environment=environment, umask=0o022)
        code = start(command, launch=launch, output=self.path, keep=shared_descriptors(environment)).wait()
        if code != 0:
            raise self._failed(command, code)

    def shell(self, text: str, directory: str, alone: bool = False) -> None:
        """Run shell text that the packager wrote, stopping at the first command that fails."""
        self.run(["/bin/sh", "-ec", text], directory, alone)

    def note(self, text: str) -> None:
        """Write a line into the log."""
        with open(self.path, "a", encoding="utf-8", errors="surrogateescape") as log:
            log.write(f"{text}\n")

    def _failed(self, command: Sequence[str], code: int) -> BuildFailed:
        how = f"was ended by signal {-code}" if code < 0 else f"failed with status {code}"
        tail = last_lines(self.path)
        if any(_DISK_FULL in line for line in tail):
            raise MachineError(
                f"The disk is full: {next(line for line in tail if _DISK_FULL in line)}",
                reference="disk-full",
                context={"log": self.path, "tail": tail},
                hint="Free some space on that file system; the next run continues from what was whole.",
            )
        shown = " ".join(command[2:] if command[:2] == ["/bin/sh", "-ec"] else command)
        return BuildFailed(
            f"The command {_shortened(shown)!r} {how}.",
            reference="build-command-failed",
            context={"command": list(command), "code": code, "log": self.path, "tail": tail},
            hint=f"The whole log is {self.path}.",
        )


def last_lines(path: str, count: int = TAIL_LINES) -> list[str]:
    """The last lines of a file; empty when there is none."""
    try:
        with open(path, "rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 200 * count))
            return stream.read().decode("utf-8", errors="replace").splitlines()[-count:]
    except OSError:
        return []


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:200]}…"
