"""How large sources are, asked without fetching them."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.build.fetch.sizes import sizes_of


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        if self.path == "/slow":
            time.sleep(3)
        known = self.path in ("/a", "/slow")
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", "1234")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    thread.join()
    made.server_close()


def test_only_what_is_known_comes_back_in_time(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    urls = [f"{server}/a", f"{server}/none", f"{server}/slow", "http://127.0.0.1:9/x", f"file://{tmp_path}/file"]
    begin = time.monotonic()
    sizes = sizes_of([*urls, f"file://{tmp_path}/absent", "ftp://h.example/x"], patience=1.0)
    assert time.monotonic() - begin < 2.5
    assert sizes == {urls[0]: 1234, urls[4]: 5}
    assert sizes_of([]) == {}
