"""A release of small C programs that is killed while it is built, and what must always hold of its store."""

from __future__ import annotations

import io
import os
import random
import signal
import sys
import tarfile
import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from slapos.build.store.content import content_digest
from slapos.build.store.store import Store
from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, Started, start
from slapos.system.proctable import descendants, end_tree, process_table, send_signal
from slapos.system.removal import remove_tree

MAKEFILE = """
all: tool more.txt
tool: tool.c
\t$(CC) -O2 -o tool tool.c
more.txt:
\tfor i in `seq 400`; do echo "$$i $(NAME)" >> more.txt; done
install:
\tmkdir -p $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share
\tcp tool $(DESTDIR)$(PREFIX)/bin/
\tfor i in `seq 60`; do cp more.txt $(DESTDIR)$(PREFIX)/share/$$i; done
\tln -s tool $(DESTDIR)$(PREFIX)/bin/link
"""
IN_PLACE = MAKEFILE.replace("$(DESTDIR)", "")
PROGRAM = '#include <stdio.h>\nint main(void) { puts("%s"); return 0; }\n'
NEEDS: Mapping[str, tuple[str, ...]] = {
    "alpha": (),
    "beta": (),
    "gamma": ("alpha",),
    "delta": ("alpha", "beta"),
    "epsilon": (),
    "zeta": ("delta", "gamma"),
}
PATIENCE = 120.0
"""Seconds in which a build ends one of whose processes was killed."""
PLACED = "epsilon"
"""Its makefile knows no DESTDIR: it installs where it will lie."""


@dataclass
class Killed:
    """``contents``: name → content of each part of an undisturbed build that took ``seconds``."""

    directory: Path
    contents: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def store(self) -> Path:
        return self.directory / "store"

    def prepare(self) -> None:
        """Write sources and profiles, and build once undisturbed."""
        parts = [_part(self.directory, name, needs) for name, needs in NEEDS.items()]
        head = f"[buildout]\nparts = {' '.join(NEEDS)}\n"
        (self.directory / "confined.cfg").write_text(head + "\n".join(parts))
        (self.directory / "open.cfg").write_text("[buildout]\nextends = confined.cfg\nsandbox = false\n")
        begin = time.monotonic()
        assert self.start("open.cfg").wait() == 0, (self.directory / "output").read_text()
        self.seconds = time.monotonic() - begin
        self.contents = self.whole()
        assert {name.partition("/")[0] for name in self.contents} == set(NEEDS)

    def start(self, profile: str) -> Started:
        """The engine, as a developer starts it."""
        command = [sys.executable, "-m", "slapos.build.standalone", str(self.directory / profile)]
        command += [str(self.directory / "release"), "--store", str(self.store)]
        command += ["--cache", str(self.directory / "cache")]
        environment = {**CLEAN_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        launch = Launch(directory=str(self.directory), environment=environment)
        return start(command, launch=launch, output=str(self.directory / "output"))

    def whole(self) -> dict[str, str]:
        """Name → content of what the store says that it has, read anew."""
        return {item.record.name: content_digest(item.location) for item in Store((str(self.store),)).parts()}

    def check(self) -> None:
        """What the store has is what an undisturbed build made, and its records say so."""
        for item in Store((str(self.store),)).parts():
            name = item.record.name
            found = content_digest(item.location)
            assert found == item.record.content == self.contents[name], f"{name} differs: {found}"

    def round(self, chance: random.Random) -> str:
        """One build that is killed somewhere; what was killed, empty when it ended before."""
        if self.whole().keys() == self.contents.keys():
            remove_tree(str(self.store))
        started = self.start(chance.choice(["confined.cfg", "open.cfg"]))
        try:
            if started.ends_within(chance.uniform(0.0, 1.2 * self.seconds)):
                return ""
            victim = chance.choice(["engine", "all", "one"])
            if victim == "engine":
                started.popen.send_signal(signal.SIGKILL)
            elif victim == "all":
                end_tree(started.pid, 0.0)
            else:
                _kill_one(started.pid, chance)
            self.check()  # while what it left may still write
            assert started.ends_within(PATIENCE), f"{victim} was killed, and the engine does not end"
            return victim
        finally:
            if not started.ends_within(0.0):
                end_tree(started.pid, 0.0)
            started.wait()


def _kill_one(pid: int, chance: random.Random) -> None:
    below = descendants(process_table(), pid)
    if below:
        chosen = chance.choice(sorted(below, key=lambda process: process.key))
        send_signal(*chosen.key, signal.SIGKILL)


def _part(directory: Path, name: str, needs: tuple[str, ...]) -> str:
    archive = directory / f"{name}.tar.gz"
    files = {"Makefile": IN_PLACE if name == PLACED else MAKEFILE, "tool.c": PROGRAM % name}
    with tarfile.open(archive, "w:gz") as tar:
        for file, text in files.items():
            member = tarfile.TarInfo(f"{name}-1/{file}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return textwrap.dedent(f"""
        [{name}]
        recipe = hyperopenx:cmmi
        url = {archive}
        sha256 = {sha256(archive.read_bytes()).hexdigest()}
        destdir = {"false" if name == PLACED else "true"}
        make-options = PREFIX=@@LOCATION@@ NAME={name}
        needed = {" ".join(f"${{{need}:location}}" for need in needs)}
        promises = @@LOCATION@@/bin/tool
    """)
