"""Runs the commands of a build, their output in a log file, and says why when one fails."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from slapos.build.jobserver import one_by_one, shared_descriptors
from slapos.build.sandbox import MORE_PROCESSES, Sandbox
from slapos.build.symptoms import Failure, explained
from slapos.build.watch import BuildLimits, Ending, Watch
from slapos.system.cgroups import Group, bounded
from slapos.system.limits import Limits
from slapos.system.processes import Launch, start

TAIL_LINES = 30


class CommandLog:
    """Commands of one part: each is written to ``path`` before it runs, its output after it.

    A pool of job slots that ``environment`` names is shared with each command.  ``sandbox``: where they run, None on
    the machine itself; directories are given as they are called outside, commands name what they see
    (:meth:`Sandbox.seen`).
    """

    def __init__(
        self,
        path: str,
        *,
        environment: Mapping[str, str],
        sandbox: Sandbox | None = None,
    ) -> None:
        self.path = path
        self.environment = dict(environment)
        self.sandbox = sandbox
        self.limits = sandbox.limits if sandbox else BuildLimits()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8"):
            pass

    def run(self, command: Sequence[str], directory: str, alone: bool = False) -> None:
        """Run to the end; when it fails, :class:`HyperopenxError` with the reason, ``log`` and ``tail``.

        ``alone``: a make in it runs one job at a time.
        """
        self.note(f"# cd {self.seen(directory)}\n$ {' '.join(command)}")
        environment = one_by_one(self.environment) if alone else self.environment
        launch = Launch(directory=directory, environment=environment, umask=0o022, limits=self._of_kernel())
        words = self.sandbox.wrap(command, directory) if self.sandbox else list(command)
        limits = self.limits.beginning()
        with self._bounded(limits) as group:
            keep = shared_descriptors(environment)
            started = start(group.joined(words), launch=launch, output=self.path, keep=keep)
            ending = Watch(started, limits, self.path, directory, confined=self.sandbox is not None).wait()
            if not ending.reason and group.out_of_memory:  # also when nobody else minded that a process was killed
                ending = Ending(ending.code, "memory", limits.memory_bytes)
        if ending.code != 0 or ending.reason:
            tail = last_lines(self.path)
            raise explained(Failure(_shown(command), ending, tail, self.path, limits, self.sandbox))

    def seen(self, path: str) -> str:
        """What commands have to call ``path``."""
        return self.sandbox.seen(path) if self.sandbox else path

    def shell(self, text: str, directory: str, alone: bool = False) -> None:
        """Run shell text that the packager wrote, stopping at the first command that fails."""
        self.run(["/bin/sh", "-ec", text], directory, alone)

    def _bounded(self, limits: BuildLimits) -> AbstractContextManager[Group]:
        """For root, whom no other limit of the kernel on processes stops; a little above ours."""
        if os.geteuid() != 0 or self.sandbox is None:
            return nullcontext(Group())
        return bounded(limits.processes + MORE_PROCESSES, limits.memory_bytes)

    def _of_kernel(self) -> Limits:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        return Limits(file_size=self.limits.disk_bytes if hard < 0 else min(hard, self.limits.disk_bytes))

    def note(self, text: str) -> None:
        """Write a line into the log."""
        with open(self.path, "a", encoding="utf-8", errors="surrogateescape") as log:
            log.write(f"{text}\n")


def last_lines(path: str, count: int = TAIL_LINES) -> list[str]:
    """The last lines of a file; empty when there is none."""
    try:
        with open(path, "rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 200 * count))
            return stream.read().decode("utf-8", errors="replace").splitlines()[-count:]
    except OSError:
        return []


def _shown(command: Sequence[str]) -> str:
    """One short line for people."""
    line = " ".join(" ".join(command[2:] if command[:2] == ["/bin/sh", "-ec"] else command).split())
    return line if len(line) <= 200 else f"{line[:200]}…"
