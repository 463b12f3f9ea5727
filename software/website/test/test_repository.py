"""The follower of a git repository, against a real server of the smart HTTP protocol."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from dulwich.objects import ObjectID
from dulwich.refs import Ref

PROGRAM = Path(__file__).resolve().parent.parent / "repository.py"


@pytest.fixture(name="program", scope="module")
def fixture_program() -> ModuleType:
    specification = importlib.util.spec_from_file_location("website_repository", PROGRAM)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(name="settings")
def fixture_settings(program: ModuleType, server: Any, tmp_path: Path) -> Any:
    return program.Settings(url=server.url, directory=str(tmp_path / "files"), status=str(tmp_path / "status.json"))


def served(settings: Any) -> dict[str, bytes]:
    """All files below ``current``, links and hidden ones too."""
    root = Path(settings.directory) / "current"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if not path.is_dir()}


def test_files_of_the_branch_and_nothing_else(program: ModuleType, server: Any, settings: Any) -> None:
    commit = server.commit({"index.html": b"one", "docs/a.html": b"two"})
    assert program.update(settings) == commit
    assert served(settings) == {"index.html": b"one", "docs/a.html": b"two"}
    assert sorted(os.listdir(settings.directory)) == sorted(["current", commit])


def test_change_is_followed_and_the_old_removed(program: ModuleType, server: Any, settings: Any) -> None:
    old = server.commit({"index.html": b"one", "old.html": b"x"})
    program.update(settings)
    new = server.commit({"index.html": b"two"})
    program.update(settings)
    assert served(settings) == {"index.html": b"two"}
    assert old not in os.listdir(settings.directory)
    assert os.readlink(os.path.join(settings.directory, "current")) == new


def test_nothing_new_writes_nothing(program: ModuleType, server: Any, settings: Any) -> None:
    commit = server.commit({"index.html": b"one"})
    program.update(settings)
    before = os.stat(os.path.join(settings.directory, commit))
    program.update(settings)
    assert os.stat(os.path.join(settings.directory, commit)) == before


def test_links_and_hidden_names_are_left_out(program: ModuleType, server: Any, settings: Any) -> None:
    server.commit(
        {"index.html": b"x", ".htaccess": b"x", ".git2/config": b"x", "a/.env": b"x", ".well-known/security.txt": b"s"},
        {"leak": b"/etc/passwd", "docs": b"/etc"},
    )
    program.update(settings)
    assert sorted(served(settings)) == [".well-known/security.txt", "index.html"]


def test_other_branch(program: ModuleType, server: Any, settings: Any, tmp_path: Path) -> None:
    server.commit({"index.html": b"main"})
    server.commit({"index.html": b"draft"}, branch="draft/1")
    program.update(program.Settings(settings.url, settings.directory, settings.status, branch="draft/1"))
    assert served(settings) == {"index.html": b"draft"}


def test_revision_wins(program: ModuleType, server: Any, settings: Any) -> None:
    first = server.commit({"index.html": b"first"})
    server.repository.refs[Ref(b"refs/tags/v1")] = ObjectID(first.encode())
    server.commit({"index.html": b"second"})
    program.update(program.Settings(settings.url, settings.directory, settings.status, revision=first))
    assert served(settings) == {"index.html": b"first"}


def test_unknown_branch_and_revision_are_said(program: ModuleType, server: Any, settings: Any) -> None:
    server.commit({"index.html": b"x"})
    program.follow(program.Settings(settings.url, settings.directory, settings.status, branch="nothing"))
    wrong = program.Settings(settings.url, settings.directory, settings.status, branch="nothing")
    good, sentence = program.check(wrong, age=1000.0)
    assert not good and "the repository has no refs/heads/nothing" in sentence
    missing = program.Settings(settings.url, settings.directory, settings.status, revision="1" * 40)
    program.follow(missing)
    good, sentence = program.check(missing, age=1000.0)
    assert not good and "was never fetched" in sentence


def test_too_large_is_refused_and_the_old_stays(
    program: ModuleType, server: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.commit({"index.html": b"good"})
    program.follow(settings)
    monkeypatch.setattr(program, "SIZE_LIMIT", 10)
    server.commit({"index.html": b"much too large"})
    program.follow(settings)
    assert served(settings) == {"index.html": b"good"}
    assert "more than 10 bytes" in program.read_status(settings)["error"]


def test_leftovers_of_a_killed_run_go(program: ModuleType, server: Any, settings: Any) -> None:
    commit = server.commit({"index.html": b"x"})
    for name in (f"{commit}.git/objects", f"{commit}.new/half", commit):
        os.makedirs(os.path.join(settings.directory, name))
    program.update(settings)
    assert served(settings) == {"index.html": b"x"}
    assert sorted(os.listdir(settings.directory)) == sorted(["current", commit])


def test_status_tells_fresh_from_stale(program: ModuleType, server: Any, settings: Any) -> None:
    assert program.check(settings, age=5.0) == (True, f"{settings.url} is not fetched yet")
    assert program.check(settings, age=1000.0) == (False, f"{settings.url} is not fetched yet")
    commit = server.commit({"index.html": b"x"})
    program.follow(settings)
    assert program.check(settings, age=1000.0) == (True, f"Commit {commit[:12]} of {settings.url} HEAD is served")
    program.write_status(settings, {"commit": commit, "date": time.time() - 5000, "error": "no route"})
    good, sentence = program.check(settings, age=10000.0)
    assert not good and sentence.endswith("cannot be fetched: no route")
    other = program.Settings("http://127.0.0.1:9/other", settings.directory, settings.status)
    assert program.check(other, age=1000.0) == (False, "http://127.0.0.1:9/other is not fetched yet")


def test_unreachable_server_is_said(program: ModuleType, settings: Any) -> None:
    lost = program.Settings("http://127.0.0.1:9/site", settings.directory, settings.status)
    program.follow(lost)
    good, sentence = program.check(lost, age=1.0)
    assert not good and sentence.startswith("http://127.0.0.1:9/site was never fetched: ")


@pytest.mark.parametrize("url", ["file:///etc", "/etc", "ssh://127.0.0.1/x", "git@example.org:x"])
def test_only_http(program: ModuleType, settings: Any, url: str) -> None:
    with pytest.raises(ValueError, match="only http and https"):
        program.update(program.Settings(url, settings.directory, settings.status))


def test_as_a_program(server: Any, tmp_path: Path) -> None:
    commit = server.commit({"index.html": b"x"})
    path = tmp_path / "settings.json"
    directory = tmp_path / "files"
    settings = {"url": server.url, "directory": str(directory), "status": str(tmp_path / "var" / "status.json")}
    path.write_text(json.dumps({**settings, "interval": 60}))
    with subprocess.Popen([sys.executable, "-I", str(PROGRAM), str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        process.terminate()
    assert line == f"{server.url}: serving {commit}\n"
    done = subprocess.run([sys.executable, "-I", str(PROGRAM), "--check", str(path)], capture_output=True, check=False)
    assert (done.returncode, done.stdout.decode()) == (0, f"Commit {commit[:12]} of {server.url} HEAD is served\n")
