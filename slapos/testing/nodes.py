"""A real node in a directory of the test's own: registered, formatted, its daemon a process."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
import sys
import tempfile
import time
from types import TracebackType
from typing import Any, Self

from slapos.node.config import NodeConfig
from slapos.node.format import deformat_node
from slapos.node.operations import format_node, stop_services, wait_for_daemon
from slapos.node.register import register, site_config
from slapos.slap.client import Client
from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, Started, start
from slapos.system.proctable import end_tree
from slapos.system.short_paths import run_directory
from slapos.testing.master import MasterServer

START_SECONDS = 30.0
STOP_SECONDS = 30.0
_numbers = itertools.count()


class NodeServer:
    """``with NodeServer(master) as node: master.operator.supply(node.reference, release)``.

    Its users, addresses and paths are its own, so that several run beside each other and beside a real site.  Leaving
    the block ends the daemon and all services, and removes users, addresses and files.  ``options`` are fields of
    :class:`~slapos.node.config.NodeConfig` that shall differ.
    """

    def __init__(self, master: MasterServer, *, name: str = "local", **options: Any) -> None:
        self.master = master
        self.name = name
        self.options = options
        self.directory = ""
        self.process: Started | None = None
        self._config: NodeConfig | None = None

    @property
    def config(self) -> NodeConfig:
        assert self._config is not None, "the node is not registered"
        return self._config

    @property
    def reference(self) -> str:
        """``COMP-<n>``."""
        return self.config.computer_id

    @property
    def config_path(self) -> str:
        return os.path.join(self.directory, "slapos.cfg")

    @property
    def client(self) -> Client:
        """A client with the node's own certificate."""
        return self.master.client(self.config.cert_file, self.config.key_file)

    def register(self) -> Self:
        """Enrol and format, without a daemon."""
        # Users of partitions must be able to pass; the directories of pytest let nobody else in.
        self.directory = tempfile.mkdtemp(prefix="hox-node-")
        os.chmod(self.directory, 0o755)
        token = self.master.operator.token("node", name=self.name)
        self._config = register(self.directory, self._wished(), token, ca_file=self.master.ca_file)
        format_node(self._config)
        return self

    def start(self) -> Self:
        """Registered when it was not, the daemon at work."""
        if self._config is None:
            self.register()
        command = [sys.executable, "-m", "slapos.node.main", "--cfg", self.config_path]
        log = os.path.join(self.directory, "slapgrid.log")
        self.process = start(command, launch=Launch(environment=CLEAN_ENVIRONMENT), output=log)
        if not wait_for_daemon(self.config, START_SECONDS):
            raise AssertionError(f"The daemon did not start:\n{self.log_tail()}")
        return self

    def kill(self) -> None:
        """SIGKILL of the daemon alone, as a crash."""
        if self.process is not None:
            self.process.popen.kill()
            self.process.popen.wait(STOP_SECONDS)
            self.process = None

    def stop(self) -> None:
        """SIGTERM of the daemon; services go on."""
        if self.process is None:
            return
        process, deadline = self.process.popen, time.monotonic() + STOP_SECONDS
        process.terminate()
        while process.poll() is None:
            if time.monotonic() > deadline:
                end_tree(process.pid)
                raise AssertionError(f"The daemon did not end within {STOP_SECONDS:g} s:\n{self.log_tail()}")
            time.sleep(0.02)
        self.process = None

    def remove(self) -> None:
        """The daemon, the services, the users, the addresses and the files."""
        if self._config is None:
            return
        try:
            self.stop()
        finally:
            stop_services(self._config)
            deformat_node(self._config)
            for directory in (self._config.run_directory, self.directory):
                shutil.rmtree(directory, ignore_errors=True)
            self._config = None

    def log_tail(self, lines: int = 30) -> str:
        """The end of what the daemon said."""
        with open(os.path.join(self.directory, "slapgrid.log"), encoding="utf-8", errors="replace") as stream:
            return "".join(stream.readlines()[-lines:])

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def _wished(self) -> NodeConfig:
        base = site_config(
            self.directory,
            name=self.name,
            master_url=self.master.url,
            run_directory=run_directory(self.directory, self.name),
        )
        number, prefix = own_numbers()
        own: dict[str, Any] = {"node_number": number, "name_prefix": prefix, "partition_amount": 3}
        return dataclasses.replace(base, **{**own, **self.options})


def own_numbers() -> tuple[int, str]:
    """A ``node_number`` and a ``name_prefix`` that no other node of this test run, or of another process, has."""
    count = next(_numbers)
    return 2 + (os.getpid() * 7 + count) % 249, f"t{os.getpid() % 10**6}x{count}"
