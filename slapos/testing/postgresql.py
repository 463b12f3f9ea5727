"""A real PostgreSQL server for tests: Debian's package, in a temporary directory, on a Unix socket.

    reason = missing()
    with PostgresServer() as server:
        storage = open_storage(server.create_database("mine"))

As root the server runs as the package's ``postgres`` user (or ``nobody``), because it refuses root.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import signal
import tempfile
import time
from types import TracebackType

import psycopg
from psycopg import sql

from slapos.model.errors import MachineError
from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, Started, check_run, start
from slapos.system.users import Identity, find_identity

START_SECONDS = 30.0
STOP_SECONDS = 20.0


def programs() -> str | None:
    """The directory of the server's programs; the newest version when there are several."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    newest = sorted(found, key=lambda path: int(path.split("/")[4].split(".")[0]))
    return os.path.dirname(newest[-1]) if newest else None


def missing() -> str | None:
    """Why no server can be started here, or None."""
    if programs() is None:
        return "PostgreSQL is not installed (Debian package postgresql)"
    if os.geteuid() == 0 and _user() is None:
        return "PostgreSQL does not run as root, and there is neither a user postgres nor nobody"
    return None


def _user() -> Identity | None:
    if os.geteuid() != 0:
        return None
    return find_identity("postgres") or find_identity("nobody")


class PostgresServer:
    """Started on entry, ended by pid on exit, its directory removed.  ``directory`` is short: the socket lies there."""

    def __init__(self, *, durable: bool = True) -> None:
        """Not ``durable``: faster, and only right after its processes or the machine were killed by luck."""
        self.directory = ""
        self._durable = durable
        self._started: Started | None = None

    def __enter__(self) -> PostgresServer:
        if programs() is None:
            raise MachineError(missing() or "", reference="no-postgresql", hint="apt install postgresql")
        self.directory = tempfile.mkdtemp(prefix="hox-pg-")
        user = _user()
        if user is not None:
            os.chown(self.directory, user.uid, user.gid)
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        assert self._started is not None
        return self._started.pid

    def url(self, database: str) -> str:
        """For ``open_storage``."""
        return f"postgresql+psycopg://owner@/{database}?host={self.directory}"

    def create_database(self, name: str, template: str = "template1") -> str:
        """The URL of a new database.  Nobody may be connected to the template."""
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Whoever is still connected is disconnected."""
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def conninfo(self, database: str) -> str:
        """For ``psycopg.connect``."""
        return f"host={self.directory} user=owner dbname={database}"

    def restart(self) -> None:
        """Ends the server, its sessions with it, and starts it again on the same data."""
        self._end()
        self._serve()

    def _start(self) -> None:
        initdb = [f"{programs()}/initdb", f"--pgdata={self.directory}/data", "--username=owner", "--auth=trust"]
        check_run([*initdb, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"], launch=self._launch())
        self._serve()

    def _launch(self) -> Launch:
        return Launch(directory=self.directory, user=_user(), environment=CLEAN_ENVIRONMENT)

    def _serve(self) -> None:
        settings = {"listen_addresses": "", "unix_socket_directories": self.directory, "max_connections": "200"}
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        log = os.path.join(self.directory, "log")
        command = [f"{programs()}/postgres", "-D", f"{self.directory}/data", *options]
        self._started = start(command, launch=self._launch(), output=log)
        self._wait(log)

    def _wait(self, log: str) -> None:
        assert self._started is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._started.popen.poll() is None:
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.conninfo("postgres")):
                return
            time.sleep(0.05)
        with open(log, encoding="utf-8", errors="replace") as stream:
            tail = stream.read()[-2000:]
        raise MachineError(f"PostgreSQL did not start: {tail}", reference="postgresql-not-started")

    def _end(self) -> None:
        if self._started is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._started.pid, signal.SIGINT)  # a fast shutdown: sessions end, data is whole
            self._started.popen.wait(STOP_SECONDS)

    def _stop(self) -> None:
        self._end()
        shutil.rmtree(self.directory, ignore_errors=True)
