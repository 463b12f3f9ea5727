"""python: every module that needs a library works, and an environment with pip can be made without network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slapos.system.processes import run
from slapos.testing.components import Component


def evaluate(component: Component, text: str) -> object:
    """What an expression gives, by way of JSON."""
    done = component.run("python3.13", "-I", "-c", f"import json\nprint(json.dumps(({text})))")
    assert done.code == 0, done.text
    return json.loads(done.text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("__import__('sys').version_info[:3]", [3, 13, 5]),
        ("__import__('bz2').decompress(__import__('bz2').compress(b'x')).decode()", "x"),
        ("__import__('lzma').decompress(__import__('lzma').compress(b'x')).decode()", "x"),
        ("__import__('zlib').ZLIB_RUNTIME_VERSION", "1.3.1"),
        ("__import__('sqlite3').sqlite_version", "3.46.1"),
        ("__import__('pyexpat').EXPAT_VERSION", "expat_2.8.3"),
        ("__import__('ssl').OPENSSL_VERSION.split()[1]", "3.5.7"),
        ("__import__('ctypes').CDLL(None).abs(-42)", 42),
        ("__import__('curses').ncurses_version[:2]", [6, 5]),
        ("__import__('readline').backend", "readline"),
        ("__import__('uuid').uuid5(__import__('uuid').NAMESPACE_DNS, 'a').version", 5),
        ("str(__import__('decimal').Decimal(1) / 3)[:6]", "0.3333"),
        ("__import__('hashlib').scrypt(b'', salt=b'', n=16, r=1, p=1).hex()[:16]", "77d6576238657b20"),
        ("sorted(__import__('hashlib').algorithms_guaranteed - __import__('hashlib').algorithms_available)", []),
    ],
)
def test_libraries(component: Component, text: str, expected: object) -> None:
    assert evaluate(component, text) == expected


def test_modules_that_are_left_out(component: Component) -> None:
    """What only libraries of the machine could serve, and what depends on it; nothing else may be missing."""
    program = """
import contextlib, importlib, io, json, sys
missing = []
for name in sorted(sys.stdlib_module_names - {"antigravity"}):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            importlib.import_module(name)
    except ImportError:
        missing.append(name)
print(json.dumps(missing))
"""
    done = component.run("python3.13", "-I", "-W", "ignore", "-c", program)
    assert done.code == 0, done.text
    missing = set(json.loads(done.text.splitlines()[-1]))
    of_windows = {"_overlapped", "_winapi", "_wmi", "msvcrt", "nt", "winreg", "winsound"}
    of_macos = {"_ios_support", "_osx_support", "_scproxy"}
    assert missing - of_windows - of_macos == {"_dbm", "_gdbm", "_tkinter", "_uuid", "tkinter", "turtle"}


def test_an_environment(component: Component, tmp_path: Path) -> None:
    made = component.run("python3.13", "-m", "venv", str(tmp_path / "env"), HOME=str(tmp_path))
    assert made.code == 0, made.text
    done = run([str(tmp_path / "env/bin/pip"), "--version"], timeout=60)
    assert done.code == 0
    assert str(tmp_path / "env") in done.text


def test_its_own_tests_of_tls(component: Component, certificate: Path, tmp_path: Path) -> None:
    """A connection between two threads of it."""
    program = f"""
import socket, ssl, threading
serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
serving.load_cert_chain({str(certificate)!r}, {str(tmp_path / "key.pem")!r})
asking = ssl.create_default_context(cafile={str(certificate)!r})
left, right = socket.socketpair()
def serve():
    with serving.wrap_socket(left, server_side=True) as server:
        server.sendall(server.recv(100).upper())
thread = threading.Thread(target=serve)
thread.start()
with asking.wrap_socket(right, server_hostname="localhost") as client:
    client.sendall(b"hello")
    print(client.version(), client.recv(100))
thread.join()
"""
    done = component.run("python3.13", "-I", "-c", program)
    assert done.text == "TLSv1.3 b'HELLO'\n"
