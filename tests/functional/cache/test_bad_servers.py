"""Caches that answer anything but what they should: a bounded time, one sentence, nothing in the store."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slapos.build.cache import client as cache_client
from slapos.build.cache.places import Bound
from tests.unit.build.cache.stage import FILES, KEY, LINKS, Stage, build, inputs

PART = inputs(options={"version": "1"})
Answer = Callable[[socket.socket, str], None]


@contextlib.contextmanager
def server(answer: Answer) -> Iterator[str]:
    """Each connection is answered once, by ``answer``; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stopped = threading.Event()

        def serve() -> None:
            while not stopped.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    threading.Thread(target=one, args=(connection,), daemon=True).start()

        def one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                asked = connection.recv(65536).decode("latin-1").split(" ")[1]
                answer(connection, asked)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopped.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def head(*lines: str, code: str = "200 OK") -> bytes:
    return ("\r\n".join([f"HTTP/1.1 {code}", "Connection: close", *lines]) + "\r\n\r\n").encode()


def never_ending(connection: socket.socket, asked: str) -> None:
    connection.sendall(head())
    while True:
        connection.sendall(b"x" * 65536)


def trickling(connection: socket.socket, asked: str) -> None:
    connection.sendall(head("Content-Length: 1000"))
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def trickling_head(connection: socket.socket, asked: str) -> None:
    while True:
        connection.sendall(b"H")
        time.sleep(0.05)


def silent(connection: socket.socket, asked: str) -> None:
    time.sleep(60)


def elsewhere(connection: socket.socket, asked: str) -> None:
    connection.sendall(head("Location: http://127.0.0.2:1/secret", "Content-Length: 0", code="302 Found"))


def to_a_file(connection: socket.socket, asked: str) -> None:
    connection.sendall(head("Location: file:///etc/passwd", "Content-Length: 0", code="301 Moved"))


def in_a_circle(connection: socket.socket, asked: str) -> None:
    connection.sendall(head(f"Location: {asked}", "Content-Length: 0", code="302 Found"))


ANSWERS: dict[str, tuple[Answer, tuple[str, ...]]] = {
    "rubbish": (lambda connection, asked: connection.sendall(b"\0\xff" * 1000), ("cache-unreachable",)),
    "nothing": (lambda connection, asked: None, ("cache-unreachable",)),
    "rubbish body": (lambda connection, asked: connection.sendall(head() + b"\xff" * 900), ("not-trusted",)),
    "page": (lambda connection, asked: connection.sendall(head() + b"<html>Welcome!</html>"), ("not-trusted",)),
    "error": (lambda connection, asked: connection.sendall(head(code="500 Oops")), ("cache-unreachable",)),
    "forbidden": (lambda connection, asked: connection.sendall(head(code="403 No")), ("cache-unreachable",)),
    "truncated": (
        lambda connection, asked: connection.sendall(head("Content-Length: 99") + b"{"),
        ("cache-unreachable",),
    ),
    "wrong chunks": (
        lambda connection, asked: connection.sendall(head("Transfer-Encoding: chunked") + b"zz\r\n"),
        ("cache-unreachable",),
    ),
    "compressed": (
        lambda connection, asked: connection.sendall(head("Content-Encoding: gzip") + b"\x1f\x8b" + b"\0" * 50),
        ("not-trusted", "cache-unreachable"),
    ),
    "never ending": (never_ending, ("too-large",)),
    "trickling": (trickling, ("cache-unreachable",)),
    "trickling head": (trickling_head, ("cache-unreachable",)),
    "silent": (silent, ("cache-unreachable",)),
    "elsewhere": (elsewhere, ("cache-unreachable",)),
    "to a file": (to_a_file, ("cache-unreachable",)),
    "in a circle": (in_a_circle, ("cache-unreachable",)),
}


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of a real run are minutes."""
    monkeypatch.setattr(cache_client, "_MANIFEST", Bound(1024 * 1024, seconds=2.0, stall=1.0))


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("name", ANSWERS)
def test_answers(name: str, tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    answer, references = ANSWERS[name]
    with server(answer) as url:
        begin = time.monotonic()
        client = stage.client(url)
        assert not client.pull("tool", PART.digest, stage.node)
        assert time.monotonic() - begin < 15
        assert [error.reference for error in client.refusals] and client.refusals[0].reference in references
        assert client.refusals[0].message.endswith(".")
    assert stage.is_clean()


@pytest.mark.usefixtures("hurried")
def test_a_cache_that_is_silent_is_asked_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    asked: list[str] = []

    def answer(connection: socket.socket, path: str) -> None:
        asked.append(path)
        time.sleep(5)

    with server(answer) as url:
        client = stage.client(url)
        for number in range(10):
            assert client.lookup("tool", f"{number:032}") is None
    assert len(asked) <= 2


def test_an_archive_that_is_another_one(tmp_path: Path) -> None:
    """The small files are right; the large one has no end, or stops."""
    stage = Stage(tmp_path)
    build(stage.builder, PART, FILES, LINKS)
    stage.publish(PART)
    stage.move_away()
    for name, answer in {"never ending": never_ending, "cut": None}.items():

        def mixed(connection: socket.socket, asked: str, answer: Answer | None = answer) -> None:
            path = stage.cache_directory / asked.lstrip("/")
            data = path.read_bytes() if path.is_file() else None
            if data is not None and "archives" in asked:
                if answer is not None:
                    answer(connection, asked)
                connection.sendall(head(f"Content-Length: {len(data)}") + data[:100])
            else:
                connection.sendall(head(code="404 No") if data is None else head(f"Content-Length: {len(data)}") + data)

        with server(mixed) as url:
            client = stage.client(url, keys=(KEY,))
            assert not client.pull("tool", PART.digest, stage.node), name
            [error] = client.refusals
            assert error.reference in ("wrong-archive", "cache-unreachable")
        assert stage.is_clean()
