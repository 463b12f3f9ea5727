"""A real master in a directory of the test's own: its process, its operator, its nodes."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from slapos.master.config import MasterConfig
from slapos.master.initialise import OperatorFiles, initialise
from slapos.master.legacy import LegacyListener
from slapos.model.errors import HyperopenxError
from slapos.model.objects import Address, NodeFormat, Partition
from slapos.pki import files, keys, requests
from slapos.slap.client import Client
from slapos.system.processes import Started, start

START_SECONDS = 30.0


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class MasterServer:
    """``with MasterServer(tmp_path) as master: master.operator.nodes()``.

    The process is a real one and its storage real files; :meth:`kill` and :meth:`start` play a crash.  ``database``
    is a URL; SQLite in the directory by default.  ``legacy`` opens the insecure legacy listener on the loopback.
    ``options``: further fields of its :class:`MasterConfig`, such as ``other_masters``.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        database: str = "",
        release_roots: Iterable[str] = (),
        certificate_names: Iterable[str] = (),
        allow_private_addresses: bool = False,
        legacy: bool = False,
        **options: Any,
    ) -> None:
        self.directory = Path(directory)
        self.config = MasterConfig(
            state_directory=str(self.directory / "master"),
            port=free_port(),
            database_url=database,
            allowed_release_roots=tuple(release_roots),
            certificate_names=tuple(certificate_names),
            allow_private_addresses=allow_private_addresses,
            **{**_legacy(legacy), **options},
        )
        self.files: OperatorFiles | None = None
        self.process: Started | None = None
        self._clients: list[Client] = []
        self._operator: Client | None = None

    @property
    def url(self) -> str:
        """The address of the master."""
        return self.config.url

    @property
    def legacy_url(self) -> str:
        """The address of the insecure legacy listener; "" when there is none."""
        listener = self.config.insecure_legacy_listener
        return listener.url if listener is not None else ""

    @property
    def ca_file(self) -> str:
        """The certificate of its authority."""
        return self.config.below("ca", "ca.pem")

    @property
    def operator(self) -> Client:
        """The client with the certificate of the first operator; always the same, with its connections."""
        if self._operator is None:
            found = self.files or initialise(self.config)
            self._operator = self.client(found.certificate_path, found.key_path)
        return self._operator

    def start(self) -> Self:
        """Initialise when needed, start the process, wait until it answers."""
        self.files = initialise(self.config)
        command = [sys.executable, "-m", "slapos.master.main", self.config.path]
        self.process = start(command, output=str(self.directory / "master.log"))
        self._wait()
        return self

    def kill(self) -> None:
        """SIGKILL, as a crash of the machine."""
        if self.process is not None:
            self.process.popen.kill()
            self.process.popen.wait(START_SECONDS)
            self.process = None

    def stop(self, seconds: float = 10.0) -> int:
        """SIGTERM; the exit status.  :class:`TimeoutError` when it does not end in time (it is then killed)."""
        if self.process is None:
            return 0
        process, end = self.process.popen, time.monotonic() + seconds
        process.terminate()
        while process.poll() is None:
            if time.monotonic() > end:
                self.kill()
                raise TimeoutError(f"The master did not end within {seconds} s of SIGTERM.")
            time.sleep(0.01)
        self.process = None
        return process.returncode

    def client(self, certificate: str = "", key: str = "", *, patience: float = 10.0) -> Client:
        """A client with a certificate and key (paths), or an anonymous one."""
        client = Client(
            master_url=self.url, cert_file=certificate, key_file=key, ca_file=self.ca_file, patience=patience
        )
        self._clients.append(client)
        return client

    def enrol(self, kind: str, reference: str = "", name: str = "") -> tuple[str, Client]:
        """Enrol a node, user or operator as they do themselves: (reference, its client)."""
        key = keys.new_key()
        token = self.operator.token(kind, reference, name)
        answer = self.client().enrol(token, requests.make_csr(key, reference, kind))
        return answer.reference, self._client_of(answer.reference, key, answer.certificate)

    def client_for_new_node(self, name: str = "", partitions: int = 0) -> tuple[str, Client]:
        """A new node, formatted when ``partitions`` is not 0: (``COMP-<n>``, its client)."""
        reference, client = self.enrol("node", name=name)
        if partitions:
            client.format(reference, node_format(partitions))
        return reference, client

    def client_for_instance(self, guid: str, node: Client) -> Client:
        """A client with the certificate of an instance, asked for by its node."""
        key = keys.new_key()
        answer = node.certificate("instance", requests.make_csr(key, guid, "instance"), guid)
        return self._client_of(guid, key, answer.certificate)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.close()
        self.stop()

    def _client_of(self, reference: str, key: keys.PrivateKey, certificate: str) -> Client:
        directory = self.directory / "clients"
        directory.mkdir(exist_ok=True)
        key_path, certificate_path = str(directory / f"{reference}.key"), str(directory / f"{reference}.pem")
        files.write_pair(key_path, key, certificate_path, certificate)
        return self.client(certificate_path, key_path)

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        client = self.client(patience=0)
        while True:
            try:
                client.text("healthz")
                return
            except HyperopenxError:
                if time.monotonic() > end or (self.process is not None and self.process.popen.poll() is not None):
                    self.kill()
                    raise
                time.sleep(0.05)


def _legacy(wanted: bool) -> dict[str, Any]:
    return {"insecure_legacy_listener": LegacyListener("127.0.0.1", free_port())} if wanted else {}


def node_format(partitions: int, *, network: str = "", capabilities: Iterable[str] = ()) -> NodeFormat:
    """A format with this many partitions, each with an IPv4 and an IPv6 address."""
    one = Partition("slappart0", (), tuple(capabilities))
    return NodeFormat(
        tuple(
            replace(one, reference=f"slappart{i}", addresses=(Address("lo", f"127.1.{i + 1}.1"), Address("lo", "::1")))
            for i in range(partitions)
        ),
        network=network,
    )
