"""The built-in checks, each against the real thing."""

from __future__ import annotations

import http.server
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from slapos.model.errors import InputError
from slapos.promises.checks.options import OptionError
from slapos.promises.checks.table import CHECKS, check_module
from slapos.system.processes import check_run


def check(name: str, tmp_path: Path, **config: object) -> tuple[bool, str]:
    """Whether the promise is kept, and what it says; ``_`` in option names stands for ``-``."""
    options = {key.replace("_", "-"): value for key, value in config.items()}
    launcher = {"name": f"{name}.py", "log-folder": str(tmp_path / "log"), "partition-folder": str(tmp_path)}
    promise = import_module(check_module(name)).RunPromise(launcher | options)
    try:
        promise.sense()
        result = promise.test()
        return not result.hasFailed(), result.message
    finally:
        for handler in promise.logger.handlers:
            handler.close()


def test_every_check_has_its_module() -> None:
    for name in CHECKS:
        module = import_module(check_module(name))
        assert module.RunPromise.sense
        assert "Options:" in module.__doc__
    assert check_module("check_url_available") == check_module("url_available")
    with pytest.raises(InputError) as caught:
        check_module("nothing")
    assert "url_available" in caught.value.hint


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/page")
        elif self.path == "/circle":
            self.send_response(302)
            self.send_header("Location", "/circle")
        elif self.path == "/slow":
            time.sleep(1)
            self.send_response(200)
        elif self.path == "/private":
            self.send_response(200 if self.headers.get("Authorization") == "Basic dTpw" else 401)
        else:
            self.send_response(200 if self.path == "/page" else 404)
        self.end_headers()
        self.wfile.write(b"the content")

    def log_message(self, *_: object) -> None:
        pass


def serve(context: ssl.SSLContext | None = None) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


@pytest.fixture
def url() -> Iterator[str]:
    server = serve()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_url_that_answers(url: str, tmp_path: Path) -> None:
    assert check("url_available", tmp_path, url=f"{url}/page", content="the content")[0]
    assert check("url_available", tmp_path, url=f"{url}/none", http_code="404")[0]
    assert check("url_available", tmp_path, url=f"{url}/none", ignore_code="1")[0]
    assert check("url_available", tmp_path, url=f"{url}/redirect")[0]
    assert check("url_available", tmp_path, url=f"{url}/redirect", allow_redirects="0", http_code=302)[0]
    assert check("url_available", tmp_path, url=f"{url}/private", username="u", password="p")[0]


def test_a_url_that_does_not(url: str, tmp_path: Path) -> None:
    cases = (
        ({"url": f"{url}/none"}, "answered 404, expected 200"),
        ({"url": f"{url}/page", "content": "missing"}, "without the text 'missing'"),
        ({"url": f"{url}/circle"}, "redirects"),
        ({"url": f"{url}/slow", "timeout": "0.2"}, "timed out"),
        ({"url": f"{url}/private"}, "answered 401"),
        ({"url": "http://127.0.0.1:1/"}, "Connection refused"),
        ({"url": "ftp://x/"}, "not an http or https URL"),
    )
    for config, expected in cases:
        ok, message = check("url_available", tmp_path, **config)
        assert not ok, config
        assert expected in message


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, 30 days."""
    options = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=x/O=service"
    names = "-addext subjectAltName=IP:127.0.0.1"
    files = f"-keyout {tmp_path}/key.pem -out {tmp_path}/cert.pem"
    check_run(["/bin/sh", "-c", f"openssl req -x509 {options} {names} {files}"])
    return tmp_path


def test_the_certificate_of_a_server_is_verified(authority: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "cert.pem", authority / "key.pem")
    server = serve(context)
    url = f"https://127.0.0.1:{server.server_port}/page"
    try:
        assert check("url_available", authority, url=url, ca_cert_file=str(authority / "cert.pem"))[0]
        assert check("url_available", authority, url=url, verify="0")[0]
        ok, message = check("url_available", authority, url=url)
        assert not ok
        assert "its certificate is refused: self-signed" in message
        other = url.replace("127.0.0.1", "localhost")
        ok, message = check("url_available", authority, url=other, ca_cert_file=str(authority / "cert.pem"))
        assert not ok, "a certificate of somebody else"
    finally:
        server.shutdown()
        server.server_close()


def test_certificates(authority: Path) -> None:
    path = str(authority / "cert.pem")
    assert check("certificate", authority, certificate=path, key=str(authority / "key.pem")) == (
        True,
        f"The certificate {path} is valid for 30 days",
    )
    ok, message = check("certificate", authority, certificate=path, certificate_expiration_days="31")
    assert not ok
    assert "expires in 30.0 days, at least 31 were promised" in message
    check_run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", f"{authority}/other.pem"])
    assert "does not fit" in check("certificate", authority, certificate=path, key=f"{authority}/other.pem")[1]
    assert "cannot be read" in check("certificate", authority, certificate="/nonexistent")[1]
    assert "cannot be read" in check("certificate", authority, certificate=str(authority / "key.pem"))[1]


def test_sockets(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert check("socket_listening", tmp_path, host="127.0.0.1", port=port)[0]
    ok, message = check("socket_listening", tmp_path, host="127.0.0.1", port=port)
    assert not ok
    assert f"127.0.0.1 port {port}" in message
    path = os.path.join("/tmp", f"hox-check-{os.getpid()}")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as abstract:
        server.bind(path)
        server.listen()
        abstract.bind(f"\0{path}")
        abstract.listen()
        assert check("socket_listening", tmp_path, pathname=path)[0]
        assert check("socket_listening", tmp_path, abstract=path)[0]
    os.unlink(path)
    assert not check("socket_listening", tmp_path, pathname=path)[0]


def test_file_states(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert check("file_state", tmp_path, filename=str(path), state="missing")[0]
    assert not check("file_state", tmp_path, filename=str(path), state="empty")[0]
    path.write_text("")
    assert check("file_state", tmp_path, filename=str(path), state="empty")[0]
    assert not check("file_state", tmp_path, filename=str(path), state="not-empty")[0]
    path.write_text("an error")
    assert "an error" in check("file_state", tmp_path, filename=str(path), state="empty")[1]
    assert not check("file_state", tmp_path, filename=str(path), state="missing")[0]
    assert check("file_state", tmp_path, filename=str(path), state="existing", newer_than="60")[0]
    os.utime(path, (1, 1))
    assert not check("file_state", tmp_path, filename=str(path), state="existing", newer_than="60")[0]


def test_disk_space(tmp_path: Path) -> None:
    assert check("free_disk_space", tmp_path, threshold_size="1K")[0]
    assert not check("free_disk_space", tmp_path, threshold_size="900000T")[0]
    assert not check("free_disk_space", tmp_path, threshold="100.5")[0]


def test_log_rotation(tmp_path: Path) -> None:
    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    options = {"log": str(log), "rotated": f"{tmp_path}/access.log.*", "maximum_age": "100", "maximum_size": "1000"}
    assert check("log_rotation", tmp_path, **options)[0], "no log yet"
    log.write_text("x")
    assert check("log_rotation", tmp_path, **options)[0], "a young log"
    old.write_text("x")
    assert check("log_rotation", tmp_path, **options)[0]
    os.utime(old, (time.time() - 200,) * 2)
    ok, message = check("log_rotation", tmp_path, **options)
    assert not ok
    assert "was not rotated" in message
    log.write_text("")
    assert check("log_rotation", tmp_path, **options)[0], "nothing to rotate"
    log.write_text("x" * 2000)
    assert "2.0 KiB, more than 1000 B" in check("log_rotation", tmp_path, **options)[1]


def test_a_log_that_was_never_rotated(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text("x")
    options = {"log": str(log), "rotated": f"{log}.*", "maximum_age": "0.2"}
    assert check("log_rotation", tmp_path, **options)[0]
    time.sleep(0.3)
    assert not check("log_rotation", tmp_path, **options)[0]


def test_commands(tmp_path: Path) -> None:
    assert check("command_execute", tmp_path, command="echo a && pwd") == (
        True,
        f"The command succeeded: a\n{tmp_path}",
    )
    assert "status 3: why" in check("command_execute", tmp_path, command="echo why; exit 3")[1]
    assert "did not end" in check("command_execute", tmp_path, command="sleep 30", promise_timeout="1.2")[1]
    listed = check("command_execute", tmp_path, command_list="/bin/echo\n$HOME; exit 1")
    assert listed == (True, "The command succeeded: $HOME; exit 1"), "no shell"


def test_wrong_options_are_named(tmp_path: Path) -> None:
    cases = (
        ("url_available", {}, "url is missing"),
        ("url_available", {"url": "http://127.0.0.1:1/", "timeout": "soon"}, "timeout must be a number, not 'soon'"),
        ("file_state", {"filename": "/x", "state": "odd"}, "state must be one of"),
        ("socket_listening", {"host": "x"}, "port is missing"),
        ("free_disk_space", {"threshold_size": "much"}, "threshold-size must be a size"),
        (
            "url_available",
            {"url": "http://127.0.0.1:1/", "allow_redirects": "maybe"},
            "allow-redirects",
        ),
    )
    for name, config, expected in cases:
        with pytest.raises(OptionError, match=expected):
            check(name, tmp_path, **config)
