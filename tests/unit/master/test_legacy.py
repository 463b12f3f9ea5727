"""Who is admitted to the insecure legacy listener, and how it may be configured."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from slapos.master.config import MasterConfig, load_config, write_config
from slapos.master.legacy import LegacyListener, parse
from slapos.master.peer import Admission
from slapos.model.errors import InputError

LISTENER = LegacyListener("0.0.0.0", 8080, ("10.0.0.0/24", "fd00::/8"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("127.0.0.1:8080", LegacyListener("127.0.0.1", 8080)),
        ("localhost:80", LegacyListener("localhost", 80)),
        ("[::1]:8080", LegacyListener("::1", 8080)),
        ("0.0.0.0:8080 10.0.0.0/24 fd00::/8", LISTENER),
    ],
)
def test_what_may_be_configured(tmp_path: Path, text: str, expected: LegacyListener | None) -> None:
    assert parse(text) == expected
    config = MasterConfig(state_directory=str(tmp_path), insecure_legacy_listener=expected)
    write_config(config)
    assert load_config(config.path) == config


@pytest.mark.parametrize(
    "text",
    [
        "8080",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:70000",
        "example.org:8080 10.0.0.0/8",
        "0.0.0.0:8080",
        "10.0.0.1:8080",
        "10.0.0.1:8080 0.0.0.0/0",
        "10.0.0.1:8080 ::/0",
        "10.0.0.1:8080 10.0.0.1/24",
        "10.0.0.1:8080 nonsense",
    ],
)
def test_what_may_not(tmp_path: Path, text: str) -> None:
    path = tmp_path / "master.cfg"
    path.write_text(f"[master]\ninsecure-legacy-listener = {text}\n")
    with pytest.raises(InputError) as caught:
        load_config(str(path))
    assert caught.value.context["field"] == "insecure_legacy_listener"
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("peer", "admitted"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.9", True),
        ("10.0.0.9", True),
        ("10.0.1.9", False),
        ("fd12::1", True),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.1.9", False),
        ("", False),
        ("not an address", False),
    ],
)
def test_who_is_admitted(peer: str, admitted: bool) -> None:
    assert LISTENER.admits(peer) is admitted
    assert _status(peer, {"host": "10.0.0.1:8080"}) == (200 if admitted else 403)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost:8080"}, 200),
        ({"host": "[fd00::1]:8080"}, 200),
        ({"host": "10.0.0.1"}, 200),
        ({"host": "Master.Example.org"}, 200),
        ({}, 200),
        ({"host": "rebound.example.net:8080"}, 403),
        ({"host": "localhost", "origin": "http://localhost"}, 403),
        ({"host": "localhost", "origin": "null"}, 403),
        ({"host": "localhost", "sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_web_pages_are_not_served(headers: dict[str, str], status: int) -> None:
    assert _status("127.0.0.1", headers) == status


def _status(peer: str, headers: dict[str, str]) -> int:
    async def served(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    statuses: list[int] = []

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "client": (peer, 1), "headers": raw}
    asyncio.run(Admission(app=served, listener=LISTENER, names=("master.example.org",))(scope, receive, send))
    return statuses[0]
