"""What tests of components share.  HYPEROPENX_COMPONENTS=touched: only those of components that a change touches."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from slapos.system.processes import Launch, run, start
from slapos.system.users import Identity, find_identity
from slapos.testing.components import Component, build_components, touched
from slapos.testing.waiting import wait_for

TOP = Path(__file__).resolve().parents[1]
ONLY_TOUCHED = os.environ.get("HYPEROPENX_COMPONENTS") == "touched"
MOST_TOUCHED = 10  # what CI compiles for one change takes minutes, the whole catalogue more than an hour


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever comes first waits until his component is compiled."""
    changed = touched(TOP) if ONLY_TOUCHED else set()
    reason = "the change touches nothing that this component is made from"
    if len(changed) > MOST_TOUCHED:
        reason = f"the change touches {len(changed)} components, CI compiles {MOST_TOUCHED} at most: make components"
        changed = set()
    for item in items:
        if not item.path.is_relative_to(TOP / "component"):
            continue
        item.add_marker(pytest.mark.timeout(4 * 3600))
        item.add_marker(pytest.mark.build)
        if ONLY_TOUCHED and component_of(item) not in changed:
            item.add_marker(pytest.mark.skip(reason=reason))


def component_of(item: pytest.Item) -> str:
    """The parameter ``name`` of the test, or the directory that it lies in."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params["name"]) if callspec is not None and "name" in callspec.params else item.path.parts[-3]


@pytest.fixture(name="built", scope="session")
def fixture_built() -> Callable[[str], Component]:
    """Any component, built when it is not yet."""
    return lambda name: build_components([name], TOP)[name]


@pytest.fixture(name="component")
def fixture_component(request: pytest.FixtureRequest, built: Callable[[str], Component]) -> Component:
    """The component whose ``test`` directory the test lies in."""
    return built(request.path.parts[-3])


@pytest.fixture(name="certificate")
def fixture_certificate(tmp_path: Path) -> Path:
    """A certificate of ``localhost`` and 127.0.0.1 that says for itself, its key ``key.pem`` beside it."""
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem")]
    done = run([*command, *files, "-subj", "/CN=localhost", "-addext", names], timeout=60)
    assert done.code == 0, done.text
    return tmp_path / "certificate.pem"


@pytest.fixture(name="serving")
def fixture_serving(tmp_path: Path) -> Callable[..., AbstractContextManager[Path]]:
    """A program that runs as long as the block, then has ten seconds to end after SIGTERM; its output is the value."""

    @contextmanager
    def serving(*command: str, user: Identity | None = None) -> Iterator[Path]:
        output = tmp_path / "output.log"
        output.touch()
        output.chmod(0o666)
        server = start(command, launch=Launch(directory="/", user=user), output=str(output))
        try:
            yield output
        finally:
            os.kill(server.pid, signal.SIGTERM)
            try:
                wait_for(lambda: server.popen.poll() is not None, 10, f"{command[0]} ends; {output.read_text()}")
            except AssertionError:
                os.kill(server.pid, signal.SIGKILL)
                server.wait()
                raise

    return serving


@pytest.fixture(name="nobody")
def fixture_nobody() -> Identity | None:
    """An ordinary user for servers that refuse root; None for ourselves."""
    return find_identity("nobody") if os.geteuid() == 0 else None
