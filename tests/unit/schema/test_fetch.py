"""Fetching with care, against a real server on the loopback interface."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from slapos.model.errors import HyperopenxError, InputError, NotFound, Refused, Unavailable
from slapos.schema.cache import DocumentCache
from slapos.schema.fetch import Fetcher
from slapos.schema.transport import Limits, connect, is_public_address

LOCAL = Limits(size=1000, seconds=2.0, allow_private_addresses=True)


class Handler(BaseHTTPRequestHandler):
    """``/status/<n>``, ``/redirect?<target>``, ``/size/<n>``, ``/drip``; anything else answers its own path."""

    requests: list[str]

    def do_GET(self) -> None:
        type(self).requests.append(self.path)
        kind, _, rest = self.path.lstrip("/").partition("/")
        if kind == "status":
            self.answer(int(rest), b"")
        elif kind.startswith("redirect"):
            self.send_response(302)
            self.send_header("Location", self.path.partition("?")[2])
            self.end_headers()
        elif kind == "size":
            self.answer(200, b"x" * int(rest))
        elif kind == "drip":
            self.drip()
        else:
            self.answer(200, self.path.encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def drip(self) -> None:
        """One byte every 50 ms: each socket timeout starts anew, only a deadline for all ends it."""
        try:
            for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"y" * 400:
                self.wfile.write(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(name="server")
def serve() -> Iterator[str]:
    Handler.requests = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def reference_of(fetch: Fetcher, url: str) -> str:
    with pytest.raises(HyperopenxError) as caught:
        fetch(url)
    return caught.value.reference


def test_a_document_is_fetched_with_its_query(server: str) -> None:
    assert Fetcher(limits=LOCAL)(f"{server}/a/b.json?x=1") == b"/a/b.json?x=1"


@pytest.mark.parametrize(
    ("path", "kind", "reference"),
    [
        ("/status/404", NotFound, "release-not-found"),
        ("/status/403", Refused, "release-refused"),
        ("/status/503", Unavailable, "unreachable"),
        ("/size/1001", InputError, "too-large"),
        ("/redirect?/redirect?/redirect?/redirect?/redirect?/redirect?/redirect?/x", Unavailable, "too-many-redirects"),
        ("/redirect?file:///etc/passwd", Refused, "redirect-refused"),
        ("/redirect?gopher://x/", InputError, "invalid-url"),
    ],
)
def test_what_cannot_be_had_is_named(server: str, path: str, kind: type[Exception], reference: str) -> None:
    with pytest.raises(kind) as caught:
        Fetcher(limits=LOCAL)(server + path)
    assert isinstance(caught.value, HyperopenxError)
    assert caught.value.reference == reference


def test_the_largest_allowed_document_passes(server: str) -> None:
    assert len(Fetcher(limits=LOCAL)(f"{server}/size/1000")) == 1000


def test_a_server_that_drips_is_given_up_in_time(server: str) -> None:
    limits = Limits(seconds=0.4, allow_private_addresses=True)
    started = time.monotonic()
    with pytest.raises(Unavailable, match=r"within 0\.4 s"):
        Fetcher(limits=limits)(f"{server}/drip")
    assert time.monotonic() - started < 2


def test_private_addresses_are_refused_before_anything_is_sent(server: str) -> None:
    assert reference_of(Fetcher(limits=Limits(seconds=2)), f"{server}/x") == "private-address"
    assert (
        reference_of(Fetcher(limits=Limits(seconds=2)), server.replace("127.0.0.1", "localhost")) == "private-address"
    )
    assert Handler.requests == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fd00::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public_address(address) is public


def test_a_name_that_changes_its_address_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name is resolved once: what is judged is what is connected to."""
    answers = iter([[(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 80))]])
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: next(answers))
    with pytest.raises(Refused, match=r"10\.0\.0\.1"):
        connect("rebinding.example.org", 80, Limits())
    assert next(answers, None) is None


def test_a_closed_port_is_unavailable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        assert reference_of(Fetcher(limits=LOCAL), url) == "unreachable"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/b",
        "software.cfg",
        "http://",
        "http://user:secret@host/",
        "file://host/x",
        "http://a:99999/",
        "http://a/b c",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(InputError) as caught:
        Fetcher(limits=LOCAL)(url)
    assert caught.value.reference == "invalid-url"
    assert "secret" not in caught.value.message


def test_files_only_below_the_roots(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "root-other"
    for directory in (root, other):
        directory.mkdir()
        (directory / "a b.json").write_text("{}")
    (root / "link.json").symlink_to(other / "a b.json")
    (root / "inner.json").symlink_to(root / "a b.json")
    os.mkfifo(root / "pipe.json")
    fetch = Fetcher(roots=(str(root),), limits=LOCAL)
    assert fetch(str(root / "a b.json")) == b"{}"
    assert fetch(f"file://{root}/a%20b.json") == b"{}"
    assert fetch(str(root / "inner.json")) == b"{}"
    for path in (other / "a b.json", root / "link.json", root / ".." / "root-other" / "a b.json"):
        assert reference_of(fetch, str(path)) == "release-location-refused"
    assert reference_of(fetch, f"file://{root}/%2e%2e/root-other/a%20b.json") == "release-location-refused"
    for name in ("missing.json", "pipe.json", "a b.json/x"):
        assert reference_of(fetch, str(root / name)) == "release-not-found"
    assert reference_of(Fetcher(limits=LOCAL), str(root / "a b.json")) == "release-location-refused"


def test_a_fresh_answer_is_not_asked_twice_and_an_old_one_serves_in_need(server: str, tmp_path: Path) -> None:
    now = [1000.0]
    cache = DocumentCache(str(tmp_path / "cache"))
    fetch = Fetcher(limits=LOCAL, cache=cache, max_age=60, clock=lambda: now[0])
    url = f"{server}/doc.json"
    for _ in range(3):
        assert fetch(url) == b"/doc.json"
    assert len(Handler.requests) == 1
    now[0] += 61
    fetch(url)
    assert len(Handler.requests) == 2
    now[0] += 61
    away = Fetcher(limits=Limits(seconds=0.0001), cache=cache, max_age=60, clock=lambda: now[0])
    with pytest.raises(Refused):
        away(url)


def test_an_old_answer_serves_while_the_server_is_away(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/doc.json"
        cache = DocumentCache(str(tmp_path))
        cache.store(url, b"old", 0.0)
        assert Fetcher(limits=LOCAL, cache=cache)(url) == b"old"


def test_a_damaged_cache_entry_is_not_used_and_the_cache_is_bounded(tmp_path: Path) -> None:
    cache = DocumentCache(str(tmp_path), limit=5)
    for number in range(20):
        cache.store(f"http://a/{number}", b"%d" % number, 1.0)
        os.utime(cache._pointer(f"http://a/{number}"), (number, number))
    assert len(list(tmp_path.iterdir())) <= 11
    cache.store("http://a/last", b"last", 1.0)
    found = cache.find("http://a/last")
    assert found is not None and found.data == b"last"
    for content in tmp_path.glob("*.data"):
        content.write_bytes(b"damaged")
    assert cache.find("http://a/last") is None
