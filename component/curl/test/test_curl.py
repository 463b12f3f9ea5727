"""curl: fetches from a real server, believes the right certificate only, and understands compressed answers."""

from __future__ import annotations

import ssl
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from slapos.testing.components import Component

TEXT = b"hello " * 100


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = {"/plain": TEXT, "/packed": zlib.compress(TEXT)}.get(self.path)
        self.send_response(404 if body is None else 200)
        if self.path == "/packed":
            self.send_header("Content-Encoding", "deflate")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(name="site")
def fixture_site(tmp_path: Path, certificate: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_pages(component: Component, site: str, certificate: Path) -> None:
    ask = ["--silent", "--fail", "--cacert", str(certificate)]
    assert component.run("curl", *ask, f"{site}/plain").output == TEXT
    assert component.run("curl", *ask, "--compressed", f"{site}/packed").output == TEXT
    assert component.run("curl", *ask, f"{site}/missing").code == 22


def test_a_certificate_that_nobody_vouches_for(component: Component, site: str) -> None:
    assert component.run("curl", "--silent", f"{site}/plain").code == 60


def test_what_it_was_built_with(component: Component) -> None:
    said = component.run("curl", "--version").text
    for word in ("OpenSSL/3.5.7", "zlib/1.3.1", "zstd/1.5.7"):
        assert word in said
    protocols = next(line for line in said.splitlines() if line.startswith("Protocols: "))
    assert "ldap" not in protocols.split()


def test_the_library(component: Component, tmp_path: Path, site: str, certificate: Path) -> None:
    text = r"""
        #include <curl/curl.h>
        int main(int count, char **words)
        {
            CURL *asking = curl_easy_init();
            curl_easy_setopt(asking, CURLOPT_URL, words[1]);
            curl_easy_setopt(asking, CURLOPT_CAINFO, words[2]);
            return curl_easy_perform(asking);
        }
    """
    program = component.compile(tmp_path / "ask", text, "curl")
    assert component.call(program, f"{site}/plain", str(certificate)).output == TEXT
