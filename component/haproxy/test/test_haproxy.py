"""haproxy: ends TLS, asks for a password, shares requests between servers, leaves out a dead one."""

from __future__ import annotations

import base64
import contextlib
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from slapos.system.processes import run
from slapos.testing.components import Component
from slapos.testing.master import free_port
from slapos.testing.waiting import wait_for

CONFIGURATION = """
global
  log stderr format raw local0
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
userlist people
  user somebody password {password}
frontend site
  bind 127.0.0.1:{port} ssl crt {directory}/both.pem
  http-request auth unless {{ http_auth(people) }}
  http-request deny if {{ path_reg ^/(private|secret)/ }}
  default_backend servers
backend servers
  balance roundrobin
  option httpchk GET /
  server one 127.0.0.1:{one} check inter 100ms fall 1
  server two 127.0.0.1:{two} check inter 100ms fall 1
"""


@contextmanager
def backend(name: str) -> Iterator[int]:
    """A server that answers its name; its port."""

    class Named(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # a check does not wait for the end
                self.wfile.write(name.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Named)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def ask(port: int, certificate: Path, path: str = "/", password: str = "secret") -> tuple[int, str]:
    """Status and body; (0, why) when nobody answers."""
    token = base64.b64encode(f"somebody:{password}".encode()).decode()
    request = urllib.request.Request(f"https://localhost:{port}{path}", headers={"Authorization": f"Basic {token}"})
    context = ssl.create_default_context(cafile=str(certificate))
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except OSError as error:
        return 0, str(error)


def test_two_servers(
    component: Component, tmp_path: Path, certificate: Path, serving: Callable[..., AbstractContextManager[Path]]
) -> None:
    (tmp_path / "both.pem").write_text(certificate.read_text() + (tmp_path / "key.pem").read_text())
    password = run(["openssl", "passwd", "-6", "secret"]).text.strip()
    port, configuration = free_port(), tmp_path / "haproxy.cfg"
    with ExitStack() as first, backend("two") as two:
        one = first.enter_context(backend("one"))
        configuration.write_text(
            CONFIGURATION.format(directory=tmp_path, password=password, port=port, one=one, two=two)
        )
        command = [component.path("sbin/haproxy"), "-db", "-f", str(configuration)]
        with serving(*command) as log:
            wait_for(lambda: ask(port, certificate)[0] == 200, 15, f"haproxy answers; {log.read_text()}")
            assert {ask(port, certificate)[1] for _ in range(6)} == {"one", "two"}
            assert ask(port, certificate, password="wrong")[0] == 401
            assert ask(port, certificate, "/secret/page")[0] == 403
            first.close()
            wait_for(lambda: {ask(port, certificate) for _ in range(6)} == {(200, "two")}, 15, "one is left out")


def test_a_wrong_configuration_is_refused(component: Component, tmp_path: Path) -> None:
    (tmp_path / "haproxy.cfg").write_text("frontend site\n  bind 127.0.0.1:1\n  no_such_word\n")
    done = component.call(component.path("sbin/haproxy"), "-c", "-f", str(tmp_path / "haproxy.cfg"))
    assert done.code == 1
    assert "haproxy.cfg:3" in done.text
