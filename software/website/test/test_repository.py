"""The follower of a git repository, against a real server of the smart HTTP protocol."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from dulwich.index import commit_tree
from dulwich.objects import Blob, Commit, ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain

PROGRAM = Path(__file__).resolve().parent.parent / "repository.py"


@pytest.fixture(name="program", scope="module")
def fixture_program() -> ModuleType:
    specification = importlib.util.spec_from_file_location("website_repository", PROGRAM)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@dataclass
class Server:
    """A repository that is served; ``commit`` adds to its branch ``main``."""

    url: str
    repository: Repo

    def commit(self, files: dict[str, bytes], links: dict[str, bytes] | None = None, branch: str = "main") -> str:
        entries: list[tuple[bytes, ObjectID, int]] = []
        for path, content in files.items():
            entries.append((path.encode(), self._blob(content), stat.S_IFREG | 0o644))
        for path, target in (links or {}).items():
            entries.append((path.encode(), self._blob(target), stat.S_IFLNK))
        commit = Commit()
        commit.tree = commit_tree(self.repository.object_store, entries)
        commit.author = commit.committer = b"Test <test@example.org>"
        commit.author_time = commit.commit_time = int(time.time())
        commit.author_timezone = commit.commit_timezone = 0
        commit.message = b"change"
        self.repository.object_store.add_object(commit)
        self.repository.refs[Ref(f"refs/heads/{branch}".encode())] = commit.id
        return str(commit.id, "ascii")

    def _blob(self, content: bytes) -> ObjectID:
        blob = Blob.from_string(content)
        self.repository.object_store.add_object(blob)
        return blob.id


@pytest.fixture(name="server")
def fixture_server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "site.git").mkdir()
    repository = Repo.init_bare(str(tmp_path / "site.git"), default_branch=b"main")
    application = make_wsgi_chain(DictBackend({"/": repository}))
    http = make_server("127.0.0.1", 0, application, handler_class=Quiet)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield Server(f"http://127.0.0.1:{http.server_port}/", repository)
    http.shutdown()
    thread.join()
    http.server_close()
    repository.close()


@pytest.fixture(name="settings")
def fixture_settings(program: ModuleType, server: Server, tmp_path: Path) -> Any:
    return program.Settings(url=server.url, directory=str(tmp_path / "files"), status=str(tmp_path / "status.json"))


def served(settings: Any) -> dict[str, bytes]:
    """All files below ``current``, links and hidden ones too."""
    root = Path(settings.directory) / "current"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if not path.is_dir()}


def test_files_of_the_branch_and_nothing_else(program: ModuleType, server: Server, settings: Any) -> None:
    commit = server.commit({"index.html": b"one", "docs/a.html": b"two"})
    assert program.update(settings) == commit
    assert served(settings) == {"index.html": b"one", "docs/a.html": b"two"}
    assert sorted(os.listdir(settings.directory)) == sorted(["current", commit])


def test_change_is_followed_and_the_old_removed(program: ModuleType, server: Server, settings: Any) -> None:
    old = server.commit({"index.html": b"one", "old.html": b"x"})
    program.update(settings)
    new = server.commit({"index.html": b"two"})
    program.update(settings)
    assert served(settings) == {"index.html": b"two"}
    assert old not in os.listdir(settings.directory)
    assert os.readlink(os.path.join(settings.directory, "current")) == new


def test_nothing_new_writes_nothing(program: ModuleType, server: Server, settings: Any) -> None:
    commit = server.commit({"index.html": b"one"})
    program.update(settings)
    before = os.stat(os.path.join(settings.directory, commit))
    program.update(settings)
    assert os.stat(os.path.join(settings.directory, commit)) == before


def test_links_and_hidden_names_are_left_out(program: ModuleType, server: Server, settings: Any) -> None:
    server.commit(
        {"index.html": b"x", ".htaccess": b"x", ".git2/config": b"x", "a/.env": b"x", ".well-known/security.txt": b"s"},
        {"leak": b"/etc/passwd", "docs": b"/etc"},
    )
    program.update(settings)
    assert sorted(served(settings)) == [".well-known/security.txt", "index.html"]


def test_other_branch(program: ModuleType, server: Server, settings: Any, tmp_path: Path) -> None:
    server.commit({"index.html": b"main"})
    server.commit({"index.html": b"draft"}, branch="draft/1")
    program.update(program.Settings(settings.url, settings.directory, settings.status, branch="draft/1"))
    assert served(settings) == {"index.html": b"draft"}


def test_revision_wins(program: ModuleType, server: Server, settings: Any) -> None:
    first = server.commit({"index.html": b"first"})
    server.repository.refs[Ref(b"refs/tags/v1")] = ObjectID(first.encode())
    server.commit({"index.html": b"second"})
    program.update(program.Settings(settings.url, settings.directory, settings.status, revision=first))
    assert served(settings) == {"index.html": b"first"}


def test_unknown_branch_and_revision_are_said(program: ModuleType, server: Server, settings: Any) -> None:
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
    program: ModuleType, server: Server, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.commit({"index.html": b"good"})
    program.follow(settings)
    monkeypatch.setattr(program, "SIZE_LIMIT", 10)
    server.commit({"index.html": b"much too large"})
    program.follow(settings)
    assert served(settings) == {"index.html": b"good"}
    assert "more than 10 bytes" in program.read_status(settings)["error"]


def test_leftovers_of_a_killed_run_go(program: ModuleType, server: Server, settings: Any) -> None:
    commit = server.commit({"index.html": b"x"})
    for name in (f"{commit}.git/objects", f"{commit}.new/half", commit):
        os.makedirs(os.path.join(settings.directory, name))
    program.update(settings)
    assert served(settings) == {"index.html": b"x"}
    assert sorted(os.listdir(settings.directory)) == sorted(["current", commit])


def test_status_tells_fresh_from_stale(program: ModuleType, server: Server, settings: Any) -> None:
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


def test_as_a_program(server: Server, tmp_path: Path) -> None:
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
