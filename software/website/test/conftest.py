"""What the tests of this release share; also makes ``tests.…`` of the repository importable."""

from __future__ import annotations

import stat
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from dulwich.index import commit_tree
from dulwich.objects import Blob, Commit, ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain

sys.path.append(str(Path(__file__).resolve().parents[3]))


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
