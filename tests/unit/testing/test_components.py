"""Components for tests: which there are, which a change touches, and built once, from a small catalogue of our own."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.model.errors import BuildFailed
from slapos.system.processes import run
from slapos.system.removal import remove_tree
from slapos.testing.builds import VARIABLE
from slapos.testing.components import build_components, component_names, touched, uses

GREETING = """# greeting: says hello.
[greeting]
recipe = hyperopenx:cmmi
url = file://%s
sha256 = %s
make-options = PREFIX=@@LOCATION@@
"""
USER = """# user: uses it.
[buildout]
extends = ../greeting/buildout.cfg

[user]
recipe = hyperopenx:cmmi
path = ${greeting:location}
make-binary = false
"""
SET = """# set: a section without a recipe.
[buildout]
extends =
  ../user/buildout.cfg

[set]
path = ${user:location}
"""
MAKEFILE = """
all:
\tprintf '#!/bin/sh\\necho hello $(WHOM)\\n' > greet
install:
\tinstall -D greet $(DESTDIR)$(PREFIX)/bin/greet
"""


@pytest.fixture(name="clone")
def fixture_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    clone, kept = tmp_path / "clone", tempfile.mkdtemp(prefix="hox-kept-")
    archive = tmp_path / "greeting.tar"
    with tarfile.open(archive, "w") as tar:
        member = tarfile.TarInfo("greeting-1.0/Makefile")
        member.size = len(MAKEFILE)
        tar.addfile(member, io.BytesIO(MAKEFILE.encode()))
    greeting = GREETING % (archive, hashlib.sha256(archive.read_bytes()).hexdigest())
    for name, text in {"greeting": greeting, "user": USER, "set": SET}.items():
        (clone / "component" / name).mkdir(parents=True)
        (clone / "component" / name / "buildout.cfg").write_text(text)
    for folder in ("stack", "software"):
        (clone / folder).mkdir()
    monkeypatch.setenv(VARIABLE, kept)
    yield clone
    remove_tree(kept)


def test_which_there_are(clone: Path) -> None:
    assert component_names(clone) == ["greeting", "user"]
    assert uses(clone) == {"greeting": {"greeting"}, "user": {"greeting", "user"}, "set": {"greeting", "user", "set"}}


def test_which_a_change_touches(clone: Path) -> None:
    def git(*words: str) -> None:
        known = ["git", "-C", str(clone), "-c", "user.name=t", "-c", "user.email=t@localhost"]
        done = run([*known, *words], timeout=60)
        assert done.code == 0, done.text

    assert touched(clone) == set(), "nobody can tell"
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "all")
    git("commit", "-q", "--allow-empty", "-m", "nothing")
    assert touched(clone) == set()
    (clone / "component/user/fix.patch").write_text("not yet added")
    assert touched(clone) == {"user", "set"}
    git("add", ".")
    git("commit", "-q", "-m", "a patch")
    assert touched(clone) == {"user", "set"}
    profile = clone / "component/greeting/buildout.cfg"
    profile.write_text(f"{profile.read_text()}# more\n")
    assert touched(clone) == {"greeting", "user", "set"}


def test_built_once_until_it_changes(clone: Path) -> None:
    made = build_components(["greeting"], clone)["greeting"]
    assert made.run("greet").text == "hello\n"
    when = Path(made.location).stat().st_mtime_ns
    assert build_components(["greeting"], clone)["greeting"] == made
    assert Path(made.location).stat().st_mtime_ns == when
    profile = clone / "component/greeting/buildout.cfg"
    profile.write_text(f"{profile.read_text()}environment = WHOM=you\n")
    other = build_components(["greeting"], clone)["greeting"]
    assert other.location != made.location
    assert other.run("greet").text == "hello you\n"
    assert made.run("greet").text == "hello\n", "the one before is still there"


def test_what_is_not_built_is_told(clone: Path) -> None:
    with pytest.raises(BuildFailed, match=r"user: .*The command 'false -j") as caught:
        build_components(["user"], clone)
    assert caught.value.reference == "components-not-built"
