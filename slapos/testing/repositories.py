"""A git repository that is served over http, and changed by the test."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from dulwich.index import commit_tree
from dulwich.objects import Blob, Commit, ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo
from dulwich.server import BackendRepo, DictBackend
from dulwich.web import make_wsgi_chain


@dataclass
class Repository:
    """``commit`` adds to the branch ``main``, or another; contents and links by path."""

    url: str
    repository: Repo

    def commit(self, files: Mapping[str, bytes], links: Mapping[str, bytes] | None = None, branch: str = "main") -> str:
        """The number of the commit."""
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


@contextlib.contextmanager
def serve_repository(directory: str | os.PathLike[str]) -> Iterator[Repository]:
    """An empty repository in a new ``directory``, on a port of the loopback."""
    os.mkdir(directory)
    repository = Repo.init_bare(str(directory), default_branch=b"main")
    served: dict[str, BackendRepo] = {"/": repository}
    http = make_server("127.0.0.1", 0, make_wsgi_chain(DictBackend(served)), handler_class=_Quiet)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Repository(f"http://127.0.0.1:{http.server_port}/", repository)
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
        repository.close()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a test's output is the test's."""
