"""The metrics are served where they are told, to whom they may be."""

from __future__ import annotations

import http.client
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slapos.model.errors import InputError
from slapos.node.metrics.address import MetricsAddress, parse_metrics_address
from slapos.node.metrics.server import MetricsServer
from slapos.system.network import is_port_free
from slapos.testing.scrape import scrape


@contextmanager
def serving(address: MetricsAddress, write: Callable[[], str]) -> Iterator[MetricsServer]:
    with MetricsServer(address=address, write=write, timeout=0.1) as server:
        ending = threading.Event()

        def serve() -> None:
            while not ending.is_set():
                server.handle_request()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server
        finally:
            ending.set()
            thread.join()


def test_a_socket_is_the_operators_alone_and_goes_with_the_server(tmp_path: Path) -> None:
    path = str(tmp_path / "metrics.sock")
    for _ in range(2):  # one that a killed daemon left is replaced
        with serving(MetricsAddress(path=path), lambda: "# EOF\n"):
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            assert scrape(path) == "# EOF\n"
            Path(path + ".left").touch()
    assert os.listdir(tmp_path) == ["metrics.sock.left"]


def test_a_port_is_that_of_the_address_alone() -> None:
    port = next(port for port in range(19100, 19200) if is_port_free("127.0.0.1", port))
    with serving(MetricsAddress(host="127.0.0.1", port=port), lambda: "# EOF\n"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        assert answer.read() == b"# EOF\n"
        for method, path, status in (("GET", "/etc/passwd", 404), ("POST", "/metrics", 501)):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request(method, path)
            assert connection.getresponse().status == status
        assert is_port_free("127.0.0.2", port)


def test_silent_clients_hold_up_nobody_for_long_and_answers_are_made_once_a_second(tmp_path: Path) -> None:
    path = str(tmp_path / "m.sock")
    made: list[int] = []

    def write() -> str:
        made.append(1)
        return "# EOF\n"

    with serving(MetricsAddress(path=path), write):
        silent = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for client in silent:
            client.connect(path)
        assert [scrape(path) for _ in range(20)] == ["# EOF\n"] * 20
        for client in silent:
            client.close()
    assert len(made) < 10


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "unix:/run/x/metrics.sock"),
        ("/srv/m.sock", "unix:/srv/m.sock"),
        ("9101", "http://127.0.0.1:9101/metrics"),
        ("[::1]:9101", "http://[::1]:9101/metrics"),
        ("192.0.2.1:9101", "http://192.0.2.1:9101/metrics"),
        ("off", "off"),
    ],
)
def test_what_the_option_means(text: str, shown: str) -> None:
    assert str(parse_metrics_address(text, "/run/x/metrics.sock")) == shown


@pytest.mark.parametrize("text", ["on", "0", "70000", "example.org:9101", ":", "1.2.3.4:", "/" + "x" * 200])
def test_what_the_option_cannot_mean(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_metrics_address(text, "/x")
    assert caught.value.reference == "invalid-configuration"
