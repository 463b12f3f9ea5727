"""The real slapproxy: the master that SlapOS brings along, one SQLite file and no authentication."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import requests

from slapos.system.processes import Started
from slapos.testing.master import free_port
from slapos.testing.peers.machine import PeerMachine

START_SECONDS = 60.0
STOP_SECONDS = 20.0
_STEP_SECONDS = 0.05


class SlapProxy:
    """``with SlapProxy() as proxy: FieldClient(proxy.url)``.

    ``computer_id``: the node that requests go to which name none.  ``products``: name → URL.  ``masters``: URL of
    another master → options of its ``[multimaster/<URL>]`` section (``software_release_list``, ``computer_guid``, …).
    """

    def __init__(
        self,
        *,
        computer_id: str = "local_computer",
        products: Mapping[str, str] | None = None,
        masters: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.machine = PeerMachine()
        self.computer_id = computer_id
        self.products = dict(products or {})
        self.masters = dict(masters or {})
        self.port = free_port()
        self._process: Started | None = None

    @property
    def url(self) -> str:
        """The master URL of its nodes and clients."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def rest_url(self) -> str:
        """What clients must be told, because slapproxy 1.26.1 does not tell them itself."""
        return f"{self.url}/hateoas/"

    @property
    def pid(self) -> int:
        """Of the server's one process."""
        assert self._process is not None, "slapproxy does not run"
        return self._process.pid

    @property
    def database(self) -> str:
        """The SQLite file."""
        return self.machine.path("proxy.db")

    def start(self) -> Self:
        """Started, on the same port and file as before, and answering."""
        if not self.machine.directory:
            self.machine.open()
        configuration = self.machine.write("slapos-proxy.cfg", self._configuration())
        self._process = self.machine.start("slapos", "proxy", "start", "--cfg", configuration, output="proxy.log")
        self._wait()
        return self

    def stop(self) -> None:
        """The server alone; its file stays."""
        if self._process is not None:
            self._process.popen.terminate()
            self._process.popen.wait(STOP_SECONDS)
            self._process = None

    def log(self) -> str:
        """What it said."""
        return self.machine.read("proxy.log")

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.popen.poll() is None:
            with contextlib.suppress(requests.ConnectionError), requests.Session() as session:
                session.trust_env = False
                if session.get(f"{self.url}/getRunId", timeout=5).ok:
                    return
            time.sleep(_STEP_SECONDS)
        raise AssertionError(f"slapproxy did not start:\n{self.log()}")

    def _configuration(self) -> str:
        lines = [
            "[slapos]",
            f"computer_id = {self.computer_id}",
            f"master_url = {self.url}/",
            "[slapproxy]",
            "host = 127.0.0.1",
            f"port = {self.port}",
            f"database_uri = {self.database}",
        ]
        if self.products:
            lines += ["software_product_list =", *(f"  {name} {url}" for name, url in self.products.items())]
        for url, options in self.masters.items():
            lines += [f"[multimaster/{url}]", *(f"{name} = {_lines(value)}" for name, value in options.items())]
        return "\n".join([*lines, ""])

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.machine.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self.machine.close()


def _lines(value: str) -> str:
    """A value of several lines, as continuation lines."""
    return value.replace("\n", "\n  ")
