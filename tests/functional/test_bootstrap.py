"""The script of the two commands: what it says, what it refuses, what it repeats."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.system.processes import Completed, Launch, run
from slapos.system.users import Identity

TOP = Path(__file__).parents[2]
NOBODY = 65534
#: What the script itself uses, and not what it looks for.
TOOLS = ("sh", "cat", "id", "dirname", "date", "mkdir", "flock", "tr", "sort", "ls", "test", "python3", "sed", "tail")


@pytest.fixture
def clone() -> Iterator[Path]:
    """A copy that an ordinary user can read and write: the clone of this test may lie in a closed home."""
    directory = Path(tempfile.mkdtemp(prefix="hox-boot-"))
    for name in ("bootstrap", "setup.py", "pyproject.toml", "README.rst", "LICENSE"):
        shutil.copy(TOP / name, directory)
    for name in ("slapos", "software", "stack", "component"):
        shutil.copytree(TOP / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    run(["chmod", "-R", "a+rwX", str(directory)])
    yield directory
    shutil.rmtree(directory)


def bootstrap(clone: Path, *words: str, path: str = "/usr/sbin:/usr/bin:/sbin:/bin", **more: str) -> Completed:
    """As an ordinary user, with an environment that holds a PATH only."""
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    user = Identity("nobody", NOBODY, NOBODY, (), "/nonexistent") if os.geteuid() == 0 else None
    launch = Launch(directory=str(clone), environment={"PATH": path, **pip, **more}, user=user)
    return run(["/bin/sh", "./bootstrap", *words], launch=launch, timeout=600)


def test_help_names_every_command(clone: Path) -> None:
    done = bootstrap(clone)
    assert done.code == 0
    for word in ("up", "down", "status", "slapos", "test", "check", "environment"):
        assert f"\n  {word}" in done.text


def test_unknown_command(clone: Path) -> None:
    done = bootstrap(clone, "nonsense")
    assert done.code == 2
    assert "nonsense" in done.text


def test_looking_and_stopping_install_nothing(clone: Path) -> None:
    assert bootstrap(clone, "down").code == 0
    for command in ("status", "slapos"):
        done = bootstrap(clone, command)
        assert done.code == 3
        assert "./bootstrap up" in done.text
    assert not (clone / "var").exists()


def test_missing_packages_are_one_line_to_run(clone: Path) -> None:
    tools = clone / "tools"
    tools.mkdir()
    for name in TOOLS:
        found = shutil.which(name, path="/usr/bin:/bin")
        if found:
            (tools / name).symlink_to(found)
    done = bootstrap(clone, "up", path=str(tools))
    assert done.code == 71, done.text
    lines = [line.strip() for line in done.text.splitlines() if line.strip().startswith("apt-get update")]
    assert len(lines) == 1
    packages = lines[0].split("--no-install-recommends ")[1].split()
    assert {"gcc", "make", "perl", "patch", "xz-utils", "curl"} <= set(packages)
    assert packages == sorted(set(packages))


@pytest.mark.build
def test_environment_is_made_once_and_again_when_sources_change(clone: Path) -> None:
    first = bootstrap(clone, "environment")
    assert first.code == 0, first.text
    environment = first.text.splitlines()[-1]
    assert environment == str(clone / "var/env")
    assert bootstrap(clone, "environment").text == f"{environment}\n"
    (clone / "slapos/model/extra.py").write_text('"""More."""\n')
    again = bootstrap(clone, "environment")
    assert "Installing Hyper Open X" in again.text
    assert "Installing what it needs" not in again.text
    assert list(Path(environment).glob("lib/python3*/site-packages/slapos/model/extra.py"))
    assert sorted(path.name for path in clone.iterdir() if path.name in ("build", "hyperopenx.egg-info")) == []
    (clone / "var/env/.sources").unlink()  # as after a run that was cut
    assert "Installing Hyper Open X" in bootstrap(clone, "environment").text
