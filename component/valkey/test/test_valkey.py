"""valkey: keeps what it was told over a restart, runs scripts, speaks TLS."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from slapos.testing.components import Component
from slapos.testing.master import free_port
from slapos.testing.waiting import wait_for

Serving = Callable[..., AbstractContextManager[Path]]


def test_data_is_kept_over_a_restart(component: Component, tmp_path: Path, serving: Serving) -> None:
    socket = str(tmp_path / "valkey.sock")
    options = ["--port", "0", "--unixsocket", socket, "--dir", str(tmp_path), "--appendonly", "yes", "--save", ""]

    def say(*words: str) -> str:
        return component.run("valkey-cli", "-s", socket, *words).text.strip()

    for turn in range(2):
        with serving(component.path("bin/valkey-server"), *options) as log:
            wait_for(lambda: say("PING") == "PONG", 15, f"valkey answers; {log.read_text()}")
            if turn == 0:
                assert say("SET", "key", "value") == "OK"
                assert say("HSET", "table", "a", "1", "b", "2") == "2"
            assert say("GET", "key") == "value"
            assert say("HGET", "table", "b") == "2"
            assert say("EVAL", "return redis.call('GET', KEYS[1]) .. '!'", "1", "key") == "value!"
            assert "mem_allocator:jemalloc" in say("INFO", "memory")


def test_tls(component: Component, tmp_path: Path, certificate: Path, serving: Serving) -> None:
    port, key = str(free_port()), str(tmp_path / "key.pem")
    files = ["--tls-cert-file", str(certificate), "--tls-key-file", key, "--tls-ca-cert-file", str(certificate)]
    options = ["--port", "0", "--tls-port", port, "--tls-auth-clients", "no", "--dir", str(tmp_path), "--save", ""]

    def ping(*trust: str) -> str:
        return component.run("valkey-cli", "-p", port, "--tls", *trust, "PING").text.strip()

    with serving(component.path("bin/valkey-server"), *options, *files) as log:
        wait_for(lambda: ping("--cacert", str(certificate)) == "PONG", 15, f"valkey answers; {log.read_text()}")
        assert "certificate verify failed" in ping()
