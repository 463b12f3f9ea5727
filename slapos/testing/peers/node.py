"""The real ``slapos`` command and the real node (slapgrid), against whatever master they are given."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from slapos.system.processes import Completed
from slapos.testing.peers.machine import USER, PeerMachine

#: Exit codes of ``slapos node instance`` and ``promise``.
DONE, FAILED, PROMISE_FAILED, OFFLINE = 0, 1, 2, 3
_COMMAND_SECONDS = 240.0


@dataclass(frozen=True)
class Credentials:
    """The text of a certificate and its key, as the real client wants them."""

    certificate: str
    key: str


class RealCommand:
    """``with RealCommand(proxy.url, rest_url=proxy.rest_url) as slapos: slapos("request", "title", release)``.

    The command line of a person.  ``rest_url`` is needed where the master does not tell its own (slapproxy).
    """

    def __init__(
        self,
        master_url: str,
        *,
        rest_url: str = "",
        credentials: Credentials | None = None,
        shared: tuple[str, ...] = (),
    ) -> None:
        self.machine = PeerMachine(shared=shared)
        self.master_url = master_url
        self.rest_url = rest_url
        self.credentials = credentials

    def __call__(self, *words: str, timeout: float = _COMMAND_SECONDS) -> Completed:
        """``slapos <first word(s)> --cfg … <the rest>``: a command of two words is given as one, ``"service list"``."""
        command, *rest = words
        return self.machine.run("slapos", *command.split(), "--cfg", self._configuration, *rest, timeout=timeout)

    def console(self, script: str) -> Completed:
        """A script in ``slapos console``, which offers ``request``, ``supply`` and ``slap``."""
        path = self.machine.write("script.py", script)
        return self("console", path)

    @property
    def _configuration(self) -> str:
        return self.machine.path("slapos-client.cfg")

    def _text(self) -> str:
        lines = ["[slapos]", f"master_url = {self.master_url}"]
        if self.rest_url:
            lines.append(f"master_rest_url = {self.rest_url}")
        lines.append("[slapconsole]")
        if self.credentials is not None:
            lines += credential_lines(self.machine, self.credentials)
        return "\n".join([*lines, ""])

    def __enter__(self) -> Self:
        self.machine.open()
        self.machine.write("slapos-client.cfg", self._text())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.machine.close()


class RealNode:
    """``with RealNode(proxy.url) as node: node("format", "--now"); node("software"); node("instance")``.

    It runs as one ordinary user and changes neither users nor addresses of the machine: partitions lie in
    ``instances``, releases in ``software`` of its directory, partition ``i`` has the addresses ``127.0.0.<10+i>`` and
    ``::1``.  ``options`` are further lines of ``[slapos]``.
    """

    def __init__(
        self,
        master_url: str,
        *,
        computer_id: str = "local_computer",
        partitions: int = 3,
        credentials: Credentials | None = None,
        options: tuple[str, ...] = (),
        shared: tuple[str, ...] = (),
    ) -> None:
        self.machine = PeerMachine(shared=shared)
        self.master_url = master_url
        self.computer_id = computer_id
        self.partitions = partitions
        self.credentials = credentials
        self.options = options

    def __call__(self, command: str, *words: str, timeout: float = _COMMAND_SECONDS) -> Completed:
        """``slapos node <command> --cfg …``; the whole output of ``--verbose`` is kept in ``node.log`` too."""
        done = self.machine.run(
            "slapos", "node", command, "--cfg", self._configuration, "--verbose", *words, timeout=timeout
        )
        with open(self.machine.path("node.log"), "a", encoding="utf-8") as stream:
            stream.write(f"--- slapos node {command} {' '.join(words)}: {done.code}, {done.seconds:.1f} s\n")
            stream.write(f"{done.text}\n")
        return done

    def format(self) -> Completed:
        """Tells the master of the partitions."""
        return self("format", "--now")

    def partition(self, number: int) -> str:
        """The directory of a partition."""
        return self.machine.path(f"instances/slappart{number}")

    def log(self) -> str:
        """All that its commands said."""
        return self.machine.read("node.log")

    @property
    def _configuration(self) -> str:
        return self.machine.path("slapos.cfg")

    def prepare(self) -> Self:
        """The directory with its files, before any command."""
        self.machine.open()
        for name in ("software", "instances", "run"):
            self.machine.make(name)
        self.machine.write("computer.cfg", self._definition())
        self.machine.write("slapos.cfg", self._text())
        return self

    def _text(self) -> str:
        at = self.machine.path
        lines = [
            "[slapos]",
            f"computer_id = {self.computer_id}",
            f"master_url = {self.master_url}",
            f"software_root = {at('software')}",
            f"instance_root = {at('instances')}",
            "root_check = False",
            *(f"pidfile_{name} = {at(f'run/{name}.pid')}" for name in ("software", "instance", "report")),
            "software_min_free_space = 1M",
            "instance_min_free_space = 1M",
            *self.options,
        ]
        if self.credentials is not None:
            lines += credential_lines(self.machine, self.credentials)
            lines.append(f"certificate_repository_path = {self.machine.make('certificates', 0o700)}")
        return "\n".join([*lines, *self._format_lines(), ""])

    def _format_lines(self) -> list[str]:
        return [
            "[slapformat]",
            f"computer_xml = {self.machine.path('run/computer.xml')}",
            f"input_definition_file = {self.machine.path('computer.cfg')}",
            f"partition_amount = {self.partitions}",
            "partition_base_name = slappart",
            "user_base_name = slapuser",
            f"software_user = {USER}",
            *(f"{name} = False" for name in ("alter_user", "alter_network", "create_tap", "partition_has_ipv6_range")),
        ]

    def _definition(self) -> str:
        lines = ["[computer]", "address = 127.0.0.1/255.255.255.255", f"software_user = {USER}"]
        for number in range(self.partitions):
            lines += [
                f"[partition_{number}]",
                f"address = 127.0.0.{10 + number}/255.255.255.255 ::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                f"pathname = slappart{number}",
                f"user = {USER}",
                f"network_interface = slaptap{number}",
            ]
        return "\n".join([*lines, ""])

    def __enter__(self) -> Self:
        try:
            return self.prepare()
        except BaseException:
            self.machine.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.machine.close()


def credential_lines(machine: PeerMachine, credentials: Credentials) -> list[str]:
    """The lines of a section that names them, written as files."""
    certificate = machine.write("credentials/certificate.pem", credentials.certificate)
    key = machine.write("credentials/key.pem", credentials.key, mode=0o600)
    return [f"cert_file = {certificate}", f"key_file = {key}"]
