"""A mirror accepts the certificate of its own origin and no other, seen with the compiled nginx."""

from __future__ import annotations

import http.client
import http.server
import re
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pytest

from slapos.model.states import PrincipalKind
from slapos.pki.authority import Authority
from slapos.pki.files import write_pair
from slapos.pki.keys import new_key
from slapos.pki.policy import Allowed, decide
from slapos.pki.requests import make_csr, read_csr
from slapos.system.processes import start
from slapos.testing.cloud import Cloud
from slapos.testing.master import free_port
from slapos.testing.waiting import wait_for

RELEASE = Path(__file__).resolve().parent.parent

pytestmark = [pytest.mark.build, pytest.mark.timeout(3600)]


@dataclass(frozen=True)
class Pair:
    certificate: str
    key: str


def make_pair(directory: Path, authority: Authority, guid: str) -> Pair:
    pair = Pair(str(directory / "certificate.pem"), str(directory / "key.pem"))
    directory.mkdir()
    key = new_key()
    request = make_csr(key, guid, "service", ["127.0.0.1"])
    grant = decide(read_csr(request), PrincipalKind.SERVICE, guid, Allowed(("127.0.0.1",)))
    write_pair(pair.key, key, pair.certificate, authority.sign(request, grant, time.time()))
    return pair


class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"origin")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(name="authority")
def fixture_authority(tmp_path: Path) -> Authority:
    authority = Authority(str(tmp_path / "ca"))
    authority.create(time.time())
    return authority


def serve(pair: Pair) -> Iterator[int]:
    """An HTTPS server with this certificate; its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(name="nginx")
def fixture_nginx(cloud: Cloud) -> Path:
    """As compiled for the release."""
    assert cloud.kept is not None
    return cloud.kept.part("nginx")


def configuration(directory: Path, pair: Pair, authority: Authority, ports: tuple[int, int], nginx: Path) -> str:
    """What the template of the mirror gives for an origin that is the instance SOFTINST-8."""

    def read(name: str) -> str:
        return (RELEASE / "templates" / f"{name}.in").read_text().replace("$$", "$")

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, loader=jinja2.FunctionLoader(read))
    environment.globals["assert"] = lambda condition, sentence: ""
    return environment.get_template("site-mirror.conf").render(
        paths={name: str(directory) for name in ("run", "log", "cache")},
        certificate={"chain-path": pair.certificate, "key-path": pair.key, "ca-path": authority.certificate_path},
        nginx=str(nginx),
        headers={},
        addresses=f"127.0.0.1:{ports[0]}",
        origin_url=f"https://127.0.0.1:{ports[1]}/",
        origin_guid="SOFTINST-8",
        re=re,
    )


def status(port: int, authority: Authority) -> int:
    context = ssl.create_default_context(cafile=authority.certificate_path)
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except ConnectionRefusedError:
        return 0
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("guid", "own_authority", "expected"),
    [("SOFTINST-8", True, 200), ("SOFTINST-9", True, 502), ("SOFTINST-8", False, 502)],
    ids=["origin", "other-instance", "other-authority"],
)
def test_only_the_origin_is_believed(
    tmp_path: Path, authority: Authority, nginx: Path, guid: str, own_authority: bool, expected: int
) -> None:
    foreign = Authority(str(tmp_path / "foreign"))
    foreign.create(time.time())
    origin = serve(make_pair(tmp_path / "origin", authority if own_authority else foreign, guid))
    mirror = make_pair(tmp_path / "mirror", authority, "SOFTINST-7")
    port, path = free_port(), tmp_path / "nginx.conf"
    path.write_text(configuration(tmp_path, mirror, authority, (port, next(origin)), nginx))
    command = [str(nginx / "sbin/nginx"), "-p", f"{tmp_path}/", "-c", str(path)]
    running = start(command, output=str(tmp_path / "output"))
    try:
        assert wait_for(lambda: status(port, authority), 10, "the mirror answers") == expected
    finally:
        running.popen.terminate()
        running.popen.wait(10)
        assert next(origin, None) is None
