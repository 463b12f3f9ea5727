"""A profile run by the real engine in a temporary directory, and a real HTTP master that remembers what it was told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from slapos.build.profile.buildout import Buildout
from slapos.build.profile.install import Report, install
from slapos.build.values import dumps
from slapos.model.objects import Instance
from slapos.model.states import Health, InstanceState
from slapos.slap.documents import instance_to_data
from slapos.wire import marshal

GUID = "SOFTINST-7"


@dataclass
class Partition:
    """A directory in which profiles run."""

    directory: Path
    buildout: Buildout | None = None

    def run(self, profile: str, **sections: Mapping[str, Any]) -> Report:
        """Run the profile; ``sections`` come as ``dumps`` text, as a template would write them.

        Names of sections with ``_`` are given as they are; the profile's own text follows.
        """
        self.directory.mkdir(exist_ok=True)
        given = "".join(
            f"[{name.replace('__', '-')}]\n" + "".join(f"{key} = {dumps(value)}\n" for key, value in options.items())
            for name, options in sections.items()
        )
        path = self.directory / "buildout.cfg"
        path.write_text(given + profile, encoding="utf-8")
        self.buildout = Buildout(
            profile=str(path), directory=str(self.directory), read=lambda name: Path(name).read_bytes()
        )
        return install(self.buildout)

    def done(self, profile: str, **sections: Mapping[str, Any]) -> Report:
        """Like :meth:`run`; all parts must be in place."""
        report = self.run(profile, **sections)
        if report.first_error is not None:
            raise report.first_error
        assert report.outcome == "done", report.sentence
        return report

    def outcomes(self, report: Report) -> dict[str, str]:
        return {part.part: part.outcome for part in report.parts}

    def option(self, section: str, option: str) -> Any:
        """The value of an option after the run."""
        assert self.buildout is not None
        return self.buildout[section][option]

    def snapshot(self) -> dict[str, tuple[bytes, int, int]]:
        """Content, mode and inode of every file: equal when nothing was written, not even the same again."""
        return {
            str(path.relative_to(self.directory)): (path.read_bytes(), path.stat().st_mode, path.stat().st_ino)
            for path in sorted(self.directory.rglob("*"))
            if path.is_file() and path.name != "buildout.cfg" and not path.name.startswith(".installed")
        }


def instance(**changes: Any) -> Instance:
    """An instance of type ``default`` on partition ``slappart0``."""
    fields: dict[str, Any] = {
        "guid": GUID,
        "title": "site",
        "root_guid": GUID,
        "root_title": "site",
        "project": "main",
        "release": "/r/software.cfg",
        "software_type": "default",
        "state": InstanceState.STARTED,
        "parameters": {},
        "sla": {},
        "connection": {},
        "node": "COMP-1",
        "partition": "slappart0",
        "timestamp": 17,
        "health": Health.OK,
    }
    return Instance(**{**fields, **changes})


def connection_section(document: Path | None = None, url: str = "") -> dict[str, str]:
    """``[slap-connection]`` as the node writes it."""
    section = {
        "computer-id": "COMP-1",
        "partition-id": "slappart0",
        "server-url": url,
        "software-release-url": "/r/software.cfg",
        "key-file": "",
        "cert-file": "",
        "ca-file": "",
        "requested-state": "started",
        "instance-guid": GUID,
        "dialect": "hyperopenx",  # without TLS only a test's own master speaks it
    }
    return section | ({"document": str(document)} if document else {})


def write_document(path: Path, **changes: Any) -> Path:
    """The instance as the node writes it down."""
    path.write_text(json.dumps(instance_to_data(instance(**changes))), encoding="utf-8")
    return path


@dataclass
class Master:
    """Answers by method name; ``calls`` are (method, message) in order."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def messages(self, method: str) -> list[dict[str, Any]]:
        return [message for name, message in self.calls if name == method]


@contextmanager
def serving_master() -> Iterator[Master]:
    """A plain HTTP server; an answer may be a function of the message, or ``(status, document)``."""
    master = Master()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            method = self.path.lstrip("/")
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            master.calls.append((method, message))
            answer = master.answers.get(method, (404, {"title": "no such method"}))
            if callable(answer):
                answer = answer(message)
            status, document = answer if isinstance(answer, tuple) else (200, answer)
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if status < 400 else "application/problem+json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            """The XML dialect: the answer to a path with its query is a value."""
            data = marshal.dumps(master.answers.get(self.path))
            self.send_response(200 if self.path in master.answers else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    master.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield master
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
