"""The insecure legacy listener of a real master."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import pytest

from slapos.master.legacy import LegacyListener
from slapos.model.errors import HyperopenxError
from slapos.testing.master import MasterServer


def _ask(master: MasterServer, path: str, headers: dict[str, str] | None = None) -> int:
    listener = master.config.insecure_legacy_listener
    assert listener is not None
    connection = HTTPConnection(listener.host, listener.port, timeout=30)
    try:
        connection.request("GET", path, headers=headers or {})
        return connection.getresponse().status
    finally:
        connection.close()


def _log(master: MasterServer) -> str:
    return (master.directory / "master.log").read_text()


def test_it_is_closed_by_default(tmp_path: Path) -> None:
    with MasterServer(tmp_path) as master:
        assert master.legacy_url == ""
        assert "insecure-legacy-listener" not in _log(master)
        assert "insecure-legacy-listener" not in Path(master.config.path).read_text()


def test_it_serves_and_warns_at_every_start(tmp_path: Path) -> None:
    with MasterServer(tmp_path, legacy=True) as master:
        assert master.legacy_url.startswith("http://127.0.0.1:")
        for start in (1, 2):
            assert _ask(master, "/healthz") == 200
            assert _ask(master, "/healthz", {"Origin": "http://evil.example"}) == 403
            assert _ask(master, "/healthz", {"Host": "evil.example"}) == 403
            assert _log(master).count(f"WARNING slapos.master: insecure-legacy-listener: {master.legacy_url}") == start
            assert not master.operator.nodes()  # TLS beside it
            assert master.stop() == 0
            master.start()


def test_it_ends_with_the_server(tmp_path: Path) -> None:
    """Idle connections, and one in the middle of its request, do not keep it."""
    with MasterServer(tmp_path, legacy=True) as master:
        listener = master.config.insecure_legacy_listener
        assert listener is not None
        idle = [socket.create_connection((listener.host, listener.port)) for _ in range(5)]
        idle[0].sendall(b"POST /requestComputerPartition HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
        start = time.monotonic()
        assert master.stop() == 0
        assert time.monotonic() - start < 4
        for each in idle:
            each.close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((listener.host, listener.port))


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listener = LegacyListener("127.0.0.1", taken.getsockname()[1])
        master = MasterServer(tmp_path, legacy=True)
        master.config = replace(master.config, insecure_legacy_listener=listener)
        with pytest.raises(HyperopenxError):
            master.start()
        assert f"insecure-legacy-listener: {listener.url} cannot be opened" in _log(master)
        assert "Traceback" not in _log(master)
