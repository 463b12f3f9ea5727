"""nginx: serves a file over HTTPS with HTTP/1.1 and compression."""

from __future__ import annotations

import gzip
import socket
import ssl
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from slapos.testing.components import Component
from slapos.testing.master import free_port
from slapos.testing.waiting import wait_for

CONFIGURATION = """
daemon off;
master_process off;
pid {directory}/pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  gzip on;
  gzip_min_length 100;
  {temporary}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {directory}/key.pem;
    location / {{ root {directory}/site; }}
    location ~ ^/old/([0-9]+)$ {{ return 301 /new/$1; }}
  }}
}}
"""
TEMPORARY = ("client_body", "proxy")


def test_a_page(
    component: Component, tmp_path: Path, certificate: Path, serving: Callable[..., AbstractContextManager[Path]]
) -> None:
    port = free_port()
    temporary = " ".join(f"{name}_temp_path {tmp_path}/{name};" for name in TEMPORARY)
    text = CONFIGURATION.format(directory=tmp_path, certificate=certificate, port=port, temporary=temporary)
    (tmp_path / "nginx.conf").write_text(text)
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("hello " * 100)
    command = [component.path("sbin/nginx"), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
    with serving(*command) as log:
        wait_for(lambda: _answers(port, certificate), 10, f"nginx answers; {log.read_text()}")
        request = urllib.request.Request(f"https://localhost:{port}/", headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=str(certificate))) as answer:
            assert answer.status == 200
            assert gzip.decompress(answer.read()).decode() == "hello " * 100


def _answers(port: int, certificate: Path) -> bool:
    context = ssl.create_default_context(cafile=str(certificate))
    try:
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 5), server_hostname="localhost"):
            return True
    except OSError:
        return False
