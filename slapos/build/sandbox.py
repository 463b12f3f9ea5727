"""Where the commands of a build run: without network, seeing only what the part says that it is made from.

Made with bubblewrap, which needs no rights: the same for root, a node's user for builds, and an ordinary user.  Inside,
whoever builds is uid 1000, the work directory is ``/build``, and all else can only be read: named packages of the
machine (:mod:`slapos.build.toolchain_view`) and the parts that are declared.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from slapos.build.toolchain_view import View
from slapos.build.watch import BuildLimits
from slapos.model.errors import MachineError
from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, run

BUILD_DIRECTORY = "/build"
"""Where a build sees its work directory, whatever it is called outside: paths in debugging data stay the same."""

SCRATCH = ".tmp"
"""In the work directory: what a build sees as ``/tmp``."""

USER = 1000
_MEMORY_FILES = 256 * 1024 * 1024
MORE_PROCESSES = 100

ENVIRONMENT: Mapping[str, str] = {
    "HOME": BUILD_DIRECTORY,
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    "SOURCE_DATE_EPOCH": "315532800",  # 1980-01-01, the first date that a zip file can hold
    "TMPDIR": "/tmp",
    "TZ": "UTC",
}
"""What each build gets, in a sandbox or not; a part's own ``environment`` comes on top."""


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """One part's.  ``build``: its work directory, seen as :data:`BUILD_DIRECTORY`.

    ``readable``: paths that are seen under their own names; ``writable``: path seen → directory that takes its place,
    once it exists;
    ``view``: what is seen of the machine; ``limits``: of each command.
    """

    build: str
    view: View
    readable: tuple[str, ...] = ()
    writable: Mapping[str, str] = field(default_factory=dict)
    limits: BuildLimits = field(default_factory=BuildLimits)
    user: int = USER

    def wrap(self, command: Sequence[str], directory: str) -> list[str]:
        """The command line that runs ``command`` inside, in ``directory`` (a path outside that is seen inside)."""
        arguments = [
            *("bwrap", "--unshare-all", "--die-with-parent", "--cap-drop", "ALL", "--hostname", "build"),
            *("--uid", str(self.user), "--gid", str(self.user)),
            *("--proc", "/proc", "--dev", "/dev"),
            *("--size", str(_MEMORY_FILES), "--tmpfs", "/dev/shm"),
            *("--dir", "/etc", "--ro-bind", self._etc(), "/etc"),
        ]
        for source, place in self.view.binds:
            arguments += ["--ro-bind", source, place]
        for target, place in self.view.links:
            arguments += ["--symlink", target, place]
        arguments += ["--bind", self.build, BUILD_DIRECTORY, "--bind", self._scratch(), "/tmp"]
        for path in self.readable:  # which may lie below /tmp
            arguments += ["--ro-bind", path, path]
        for place, source in self.writable.items():
            arguments += ["--bind-try", source, place]
        arguments += ["--remount-ro", "/", "--chdir", self.seen(directory), "--"]
        return [*arguments, *self._limited(), *command]

    def _limited(self) -> list[str]:
        """A limit of the kernel a little above ours, so that what forks without end is slow until we see it.

        From Linux 5.14 on it counts the processes in the sandbox alone, see ``user_namespaces(7)``; it does not hold
        for root.
        """
        if _linux() < (5, 14) or not self.view.holds("/usr/bin/prlimit"):
            return []
        return ["prlimit", f"--nproc={self.limits.processes + MORE_PROCESSES}", "--"]

    def seen(self, path: str) -> str:
        """What ``path`` is called inside."""
        for place, source in ((BUILD_DIRECTORY, self.build), *self.writable.items()):
            if path == source or path.startswith(f"{source}/"):
                return place + path.removeprefix(source)
        return path

    def outside(self, path: str) -> str:
        """Where that lies which is called ``path`` inside; empty when nothing is seen there."""
        places = {BUILD_DIRECTORY: self.build, "/tmp": os.path.join(self.build, SCRATCH), **self.writable}
        places |= {place: source for source, place in self.view.binds} | {place: place for place in self.readable}
        inside = [place for place in places if path == place or path.startswith(f"{place}/")]
        longest = max(inside, key=len, default="")
        return places[longest] + path.removeprefix(longest) if longest else ""

    def _scratch(self) -> str:
        """On disk, beside the sources: what a build writes into ``/tmp`` counts like the rest."""
        return _made(os.path.join(self.build, SCRATCH))

    def _etc(self) -> str:
        """What programs read to find out who they are and what ``localhost`` is."""
        place = _made(os.path.join(self.build, ".etc"))
        files = {
            "passwd": "root:x:0:0:root:/root:/bin/sh\n"
            f"build:x:{self.user}:{self.user}:build:{BUILD_DIRECTORY}:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
            "group": f"root:x:0:\nbuild:x:{self.user}:\nnogroup:x:65534:\n",
            "hosts": "127.0.0.1 localhost\n::1 localhost\n",
        }
        for name, text in files.items():
            with open(os.path.join(place, name), "w", encoding="ascii") as stream:
                stream.write(text)
        return place


def _linux() -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))


def _made(path: str) -> str:
    os.makedirs(path, mode=0o755, exist_ok=True)
    return path


@cache
def available() -> str:
    """Empty when sandboxes work for this process, else why not.  Asked once, by making one."""
    command = ["bwrap", "--unshare-all", "--uid", str(USER), "--gid", str(USER), "--ro-bind", "/", "/", "--", "true"]
    try:
        done = run(command, launch=Launch(environment=CLEAN_ENVIRONMENT), timeout=20)
    except MachineError:
        return "the program bwrap cannot be run (package bubblewrap)"
    if done.code != 0:
        return f"this kernel or container does not let bwrap make namespaces: {done.text.strip()[-200:]}"
    return ""
