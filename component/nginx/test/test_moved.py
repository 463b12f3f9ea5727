"""nginx from a binary cache, at a longer path than it was built for, the first being hidden, serves a page."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from slapos.testing.components import Component
from slapos.testing.master import free_port
from slapos.testing.moving import moved
from slapos.testing.waiting import wait_for

CONFIGURATION = """
daemon off;
master_process off;
pid {top}/pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {top}/body;
  proxy_temp_path {top}/proxy;
  gzip on;
  server {{
    listen 127.0.0.1:{port};
    location / {{ root {top}/site; }}
    location ~ ^/old/([0-9]+)$ {{ return 200 $1; }}
  }}
}}
"""


def test_a_page(component: Component, tmp_path: Path, serving: Callable[..., AbstractContextManager[Path]]) -> None:
    elsewhere = moved(component, tmp_path)
    assert len(elsewhere.location) > len(component.location)
    told = elsewhere.call(elsewhere.path("sbin/nginx"), "-V")
    assert told.code == 0, told.text
    assert elsewhere.hidden not in told.text
    assert elsewhere.call("/bin/ls", component.location).code != 0
    port = free_port()
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("moved")
    (tmp_path / "nginx.conf").write_text(CONFIGURATION.format(top=tmp_path, port=port))
    words = ["-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
    with serving("bwrap", *elsewhere.hiding, elsewhere.path("sbin/nginx"), *words) as log:
        wait_for(lambda: _listens(port), 10, f"nginx listens; {log.read_text()}")
        for path, expected in {"/": b"moved", "/old/42": b"42"}.items():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                assert answer.read() == expected


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
