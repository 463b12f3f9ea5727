"""``slapos lint --store`` on a component that was really built, of a program that takes a library from the machine."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from slapos.cli import main as entry

MAKEFILE = """
all:

install:
\tmkdir -p $(DESTDIR)$(PREFIX)/bin
\tcp $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/program
"""
PROFILE = """# {name}: a program of the machine.
[{name}]
recipe = hyperopenx:cmmi
version = 1
url = file://{tarball}
sha256 = {sha256}
make-options = PREFIX=@@LOCATION@@ PROGRAM={program}
"""


def test_a_built_component(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HYPEROPENX_STATE", str(tmp_path / "state"))
    tarball = tmp_path / "source.tar.gz"
    with tarfile.open(tarball, "w:gz") as archive:
        member = tarfile.TarInfo("source-1/Makefile")
        member.size = len(MAKEFILE)
        archive.addfile(member, io.BytesIO(MAKEFILE.encode()))
    sha256 = hashlib.sha256(tarball.read_bytes()).hexdigest()
    item = tmp_path / "catalogue/component/program"
    (item / "test").mkdir(parents=True)
    (item / "test/test_program.py").write_text("")
    text = PROFILE.format(name="program", tarball=tarball, sha256=sha256, program="/usr/bin/ls")
    text = text.replace("[", "# Source:  https://example.org\n# Licence: MIT\n[", 1)
    (item / "buildout.cfg").write_text(f"{text}\n[buildout]\nparts = program\n")
    store = tmp_path / "store"
    assert entry.run(["build", str(item / "buildout.cfg"), "--store", str(store)]) == 0
    catalogue = str(tmp_path / "catalogue")
    assert entry.run(["lint", catalogue]) == 0
    capsys.readouterr()
    assert entry.run(["lint", catalogue, "--store", str(store)]) == 1
    out = capsys.readouterr().out
    assert "bin/program takes libselinux.so.1 from the machine" in out
    assert "[linkage]" in out
