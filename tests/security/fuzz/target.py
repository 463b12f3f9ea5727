"""The master under fire: one case is one HTTP request; what must hold for each whatever it is.

A refused request changes nothing: SQLite's ``data_version`` says whether anybody committed, and the digest of all
tables but those of liveness says whether that commit changed what counts.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

SECONDS = 15.0  # longer is a hang
LIVENESS = frozenset({"presence"})
"""Tables that say who was seen when: also somebody who is refused was seen."""


@dataclass(frozen=True)
class Case:
    """One request."""

    verb: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    content_type: str
    body: bytes
    seconds: float

    @property
    def refused(self) -> bool:
        """Whether the request was not carried out."""
        return self.status >= 400

    def json(self) -> object:
        """The body as JSON; raises :class:`ValueError`."""
        return json.loads(self.body)


class Database:
    """A second pair of eyes on the master's SQLite file."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        self._tables = [
            name
            for (name,) in self._connection.execute("select name from sqlite_master where type = 'table' order by name")
            if name not in LIVENESS
        ]
        self._version = self.version()
        self._known: dict[str, str] = {}

    def version(self) -> int:
        """Another number after each commit of somebody else."""
        return int(self._connection.execute("pragma data_version").fetchone()[0])

    def committed(self) -> bool:
        """Whether anybody committed since the last look."""
        before, self._version = self._version, self.version()
        return before != self._version

    def remember(self) -> None:
        """What :meth:`changed` compares with."""
        self._known = self._digests()

    def changed(self) -> list[str]:
        """The tables that differ from what was remembered."""
        now = self._digests()
        return [name for name in self._tables if self._known[name] != now[name]]

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def _digests(self) -> dict[str, str]:
        return {name: self._digest(name) for name in self._tables}

    def _digest(self, name: str) -> str:
        digest = hashlib.sha256()
        for row in self._connection.execute(f'select * from "{name}" order by rowid'):
            digest.update(repr(row).encode())
        return digest.hexdigest()


class Target:
    """Sends cases over one connection after the other, and judges the answers."""

    def __init__(self, url: str, database: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._address = (parts.hostname, parts.port)
        self._connection: HTTPConnection | None = None
        self.database = Database(database)
        self.statuses: Counter[int] = Counter()

    def send(self, case: Case) -> Reply:
        """The answer; a connection that was closed between two requests is opened again."""
        begin = time.monotonic()
        for last in (False, True):
            try:
                return self._once(case, begin)
            except (HTTPException, ConnectionError):
                self.close_connection()
                if last:
                    raise
        raise AssertionError("unreachable")

    def judge(self, case: Case) -> Reply:
        """Send, and assert what holds for every request; the answer for further looks."""
        reply = self._check(case, self.send(case))
        if reply.refused and self.database.committed():
            self._check_nothing_changes(case)
        elif not reply.refused:
            self.database.committed()
        return reply

    def _check(self, case: Case, reply: Reply) -> Reply:
        self.statuses[reply.status] += 1
        about = (case, reply.status, reply.body[:500])
        assert reply.status < 500 or reply.status == 523, about
        assert reply.seconds < SECONDS, about
        return reply

    def _check_nothing_changes(self, case: Case) -> None:
        """Somebody committed while the case was refused.  The master itself may have, as when a node falls silent: so
        again, looking closely, and what the case changes is changed each time."""
        for last in (False, False, True):
            self.database.remember()
            reply = self._check(case, self.send(case))
            changed = self.database.changed()
            self.database.committed()
            if not (reply.refused and changed):
                return
            assert not last, (case, reply.status, reply.body[:500], changed)

    def close_connection(self) -> None:
        """The next request opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Close everything."""
        self.close_connection()
        self.database.close()

    def _once(self, case: Case, begin: float) -> Reply:
        if self._connection is None:
            self._connection = HTTPConnection(*self._address, timeout=SECONDS * 2)
        self._connection.request(case.verb, case.path, case.body or None, dict(case.headers))
        response = self._connection.getresponse()
        body = response.read()
        if response.will_close:
            self.close_connection()
        return Reply(response.status, response.headers.get("Content-Type", ""), body, time.monotonic() - begin)
