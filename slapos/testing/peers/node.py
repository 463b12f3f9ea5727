"""The real ``slapos`` command and the real node (slapgrid), against whatever master they are given."""

from __future__ import annotations

import glob
import os
from configparser import RawConfigParser
from types import TracebackType
from typing import Self

from slapos.system.processes import Completed
from slapos.testing.peers.machine import USER, PeerMachine

#: Exit codes of ``slapos node instance`` and ``promise``.
DONE, FAILED, PROMISE_FAILED, OFFLINE = 0, 1, 2, 3
_COMMAND_SECONDS = 240.0


class RealCommand:
    """``with RealCommand(proxy.url, rest_url=proxy.rest_url) as slapos: slapos("request", "title", release)``.

    The command line of a person.  ``rest_url`` is needed where the master does not tell its own (slapproxy).
    """

    def __init__(self, master_url: str, *, rest_url: str = "", shared: tuple[str, ...] = ()) -> None:
        self.machine = PeerMachine(shared=shared)
        self.master_url = master_url
        self.rest_url = rest_url
        self._configuration = ""

    def __call__(self, *words: str, timeout: float = _COMMAND_SECONDS) -> Completed:
        """``slapos <first word(s)> --cfg … <the rest>``: a command of two words is given as one, ``"service list"``."""
        command, *rest = words
        return self.machine.run("slapos", *command.split(), "--cfg", self._configuration, *rest, timeout=timeout)

    def console(self, script: str) -> Completed:
        """A script in ``slapos console``, which offers ``request``, ``supply`` and ``slap``."""
        path = self.machine.write("script.py", script)
        return self("console", path)

    def configure(self, token: str) -> None:
        """``slapos configure client``: with a certificate from then on, whose key the master makes."""
        web = ("--master-url-web", self.master_url)
        command = ("slapos", "configure", "client", "--master-url", self.master_url, *web, "--token", token)
        checked(self.machine.run(*command))
        self._configuration = self.machine.path(".slapos/slapos-client.cfg")

    def use(self, certificate_path: str, key_path: str) -> None:
        """The certificate of a person from then on, as texts copied from these files."""
        for name, path in (("certificate", certificate_path), ("key", key_path)):
            with open(path, encoding="utf-8") as stream:
                self.machine.write(f"person/{name}.pem", stream.read(), mode=0o600)
        at = self.machine.path
        lines = [f"cert_file = {at('person/certificate.pem')}", f"key_file = {at('person/key.pem')}"]
        self._configuration = self.machine.write("slapos-client.cfg", self._text(*lines))

    def _text(self, *console: str) -> str:
        lines = ["[slapos]", f"master_url = {self.master_url}"]
        if self.rest_url:
            lines.append(f"master_rest_url = {self.rest_url}")
        return "\n".join([*lines, "[slapconsole]", *console, ""])

    def __enter__(self) -> Self:
        self.machine.open()
        self._configuration = self.machine.write("slapos-client.cfg", self._text())
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
        options: tuple[str, ...] = (),
        shared: tuple[str, ...] = (),
    ) -> None:
        self.machine = PeerMachine(shared=shared)
        self.master_url = master_url
        self.computer_id = computer_id
        self.partitions = partitions
        self.options = options
        self._credentials: list[str] = []

    def __call__(self, command: str, *words: str, timeout: float = _COMMAND_SECONDS) -> Completed:
        """``slapos node <command> --cfg …``; the whole output of ``--verbose`` is kept in ``node.log`` too."""
        self._let_overwrite()
        done = self.machine.run(
            "slapos", "node", command, "--cfg", self._configuration, "--verbose", *words, timeout=timeout
        )
        with open(self.machine.path("node.log"), "a", encoding="utf-8") as stream:
            stream.write(f"--- slapos node {command} {' '.join(words)}: {done.code}, {done.seconds:.1f} s\n")
            stream.write(f"{done.text}\n")
        return done

    def register(self, name: str, token: str) -> str:
        """``slapos node register``, which wants to be root of its machine; the reference that the master gave.

        Of the files that it writes, the certificate and the key (made by the master) are used from then on.
        """
        written = self.machine.path("registered/slapos.cfg")
        command = ("slapos", "node", "register", name, "--cfg", written, "--token", token)
        urls = ("--master-url", self.master_url, "--master-url-web", self.master_url)
        checked(self.machine.run("unshare", "--user", "--map-root-user", *command, *urls))
        found = RawConfigParser(strict=False)
        found.read_string(self.machine.read("registered/slapos.cfg"))
        self.computer_id = found["slapos"]["computer_id"]
        names = ("key_file", "cert_file", "certificate_repository_path")
        self._credentials = [f"{option} = {found['slapos'][option]}" for option in names]
        self.machine.write("slapos.cfg", self._text())
        return self.computer_id

    def format(self) -> Completed:
        """Tells the master of the partitions."""
        return self("format", "--now")

    def partition(self, number: int) -> str:
        """The directory of a partition."""
        return self.machine.path(f"instances/slappart{number}")

    def log(self) -> str:
        """All that its commands said."""
        return self.machine.read("node.log")

    def _let_overwrite(self) -> None:
        """It writes certificates of partitions with mode 0400, and again when they changed: as root it could."""
        for path in glob.glob(self.machine.path("registered/ssl/partition_pki/*")):
            os.chmod(path, 0o600)

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
        return "\n".join([*lines, *self._credentials, *self._format_lines(), ""])

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


def checked(done: Completed) -> Completed:
    """:class:`AssertionError` with the output when it failed."""
    assert done.code == 0, done.text
    return done
