"""Real parts of ``hyperopenx:cmmi``, built at once by the engine, in their sandboxes where these work."""

from __future__ import annotations

import hashlib
import re
import tarfile
from pathlib import Path

from slapos.build.job import Progress
from slapos.build.run import execute
from tests.unit.build.stored import build, job

#: Four jobs that tell when they begin and end.
MAKEFILE = """
PREFIX = /nowhere
all: a b c d
a b c d:
\t@date +"$(NAME)$@ + %s.%N"; sleep 0.3; date +"$(NAME)$@ - %s.%N"
install:
\tmkdir -p $(DESTDIR)$(PREFIX)
\techo made > $(DESTDIR)$(PREFIX)/file
"""
MOMENT = re.compile(r"^\w+ ([+-]) ([0-9.]+)$", re.MULTILINE)


def tarball(directory: Path) -> str:
    """The options that name the source."""
    (directory / "Makefile").write_text(MAKEFILE)
    path = directory / "source.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(directory / "Makefile", "source/Makefile")
    return f"url = file://{path}\nsha256 = {hashlib.sha256(path.read_bytes()).hexdigest()}"


def profile(directory: Path, names: str, more: str = "") -> str:
    sections = [f"[{name}]\n<= part\nmake-options = NAME={name} PREFIX=@@LOCATION@@" for name in names.split()]
    part = f"[part]\nrecipe = hyperopenx:cmmi\n{tarball(directory)}"
    return "\n".join([f"[buildout]\nparts = {names}", part, *sections, more])


def most_at_once(logs: list[Path]) -> int:
    moments = [
        (float(moment), 1 if sign == "+" else -1) for log in logs for sign, moment in MOMENT.findall(log.read_text())
    ]
    most = now = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


def logs_of(directory: Path) -> list[Path]:
    return sorted((directory / "work" / ".build-log").glob("*.log"))


def test_parts_share_the_slots_of_the_machine(tmp_path: Path) -> None:
    result = build(tmp_path, profile(tmp_path, "one two three"), sandbox="true")
    assert result.outcome == "done", result.error
    logs = logs_of(tmp_path)
    assert len(logs) == 3
    assert most_at_once(logs) == 2
    text = "".join(log.read_text() for log in logs)
    assert "jobserver" not in text, "make found the pool"
    assert len(MOMENT.findall(text)) == 3 * 4 * 2


def test_all_failures_are_told_with_the_ends_of_their_logs(tmp_path: Path) -> None:
    broken = "\n".join(f"[{name}]\npre-build = echo said by {name}; exit 4" for name in ("one", "three"))
    needy = "[needy]\n<= part\nmake-options = PREFIX=@@LOCATION@@ NAME=needy USES=${one:location}"
    text = profile(tmp_path, "one two three needy", f"{broken}\n{needy}")
    told: list[Progress] = []
    (tmp_path / "work").mkdir()
    result = execute(job(tmp_path, text), told.append)
    assert result.outcome == "failed"
    tails = {error["context"]["part"]: "\n".join(error["context"]["tail"]) for error in result.errors}
    assert tails.keys() == {"one", "three"}
    assert all(f"said by {name}" in tail for name, tail in tails.items())
    outcomes = {part.part: part.outcome for part in result.parts}
    assert outcomes == {"one": "failed", "two": "installed", "three": "failed", "needy": "blocked"}
    assert {step.stage for step in told if step.part == "two" and step.beside} >= {"start", "make", "done"}
    mended = build(tmp_path, profile(tmp_path, "one two three"))
    assert {part.part: part.outcome for part in mended.parts}["three"] == "installed"
