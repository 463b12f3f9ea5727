"""What is kept of a promise between two runs, in the partition (spec 06 §4): result, cache and log files.

The partition can change these files: they are written and read below it without following links, and what is read is
checked; a wrong one is as good as none.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from slapos.model.errors import InputError
from slapos.model.objects import PromiseResult
from slapos.promises.discovery import Promise
from slapos.system.below import make_directory_below, read_below, write_below

FOLDER = ".slapgrid/promise"
RESULTS = f"{FOLDER}/result"
CACHE = f"{FOLDER}/cache"
LOGS = f"{FOLDER}/log"
_DATE = "%Y-%m-%dT%H:%M:%S+0000"
_LIMIT = 64 * 1024
_LOG_LIMIT = 1024 * 1024


@dataclass(frozen=True)
class Cached:
    """``failures``: executions in a row that failed; ``periodicity`` in minutes, ``next_run`` UTC epoch seconds."""

    next_run: float = 0.0
    tested: bool = True
    anomaly: bool = True
    periodicity: float = 2.0
    module_file: str = ""
    modified: float = 0.0
    failures: int = 0

    def fits(self, promise: Promise) -> bool:
        """Whether it was written for this very file."""
        return self.module_file == promise.path and self.modified == promise.modified


class History:
    """The files of one partition; ``owner`` (uid, gid) is given to new ones, None leaves them ours."""

    def __init__(self, directory: str, *, owner: tuple[int, int] | None) -> None:
        self.directory = directory
        self.owner = owner

    def prepare(self) -> None:
        """The folders exist."""
        for folder in (RESULTS, CACHE, LOGS):
            make_directory_below(self.directory, folder, mode=0o755, owner=self.owner)

    def log_folder(self) -> str:
        return os.path.join(self.directory, LOGS)

    def last_result(self, promise: Promise) -> PromiseResult | None:
        """What was stored of its last run."""
        data = self._read(f"{RESULTS}/{promise.title}.status.json")
        try:
            result = data["result"]
            date = datetime.strptime(str(result["date"]), _DATE).replace(tzinfo=UTC).timestamp()
            seconds = float(data["execution-time"])
            failed, message = bool(result["failed"]), str(result["message"])[-5000:]
        except (KeyError, TypeError, ValueError):
            return None
        return PromiseResult(promise.name, not failed, message, int(date), seconds)

    def keep_result(self, promise: Promise, result: PromiseResult, kind: str) -> None:
        data = {
            "title": promise.title,
            "name": promise.name,
            "path": promise.path,
            "execution-time": round(result.seconds, 3),
            "result": {
                "type": kind,
                "failed": not result.ok,
                "date": datetime.fromtimestamp(result.date, UTC).strftime(_DATE),
                "message": result.message,
            },
        }
        self._write(f"{RESULTS}/{promise.title}.status.json", data)

    def cached(self, promise: Promise) -> Cached:
        """An empty one when there is none for this file."""
        data = self._read(f"{CACHE}/{promise.title}")
        try:
            found = Cached(
                next_run=float(data["next_run_after"]),
                tested=bool(data["is_tested"]),
                anomaly=bool(data["is_anomaly_detected"]),
                periodicity=float(data["periodicity"]),
                module_file=str(data["module_file"]),
                modified=float(data["module_file_mtime"]),
                failures=int(data.get("failures", 0)),
            )
        except (KeyError, TypeError, ValueError):
            return Cached()
        return found if found.fits(promise) else Cached()

    def keep_cached(self, promise: Promise, cached: Cached, now: float) -> None:
        data = {
            "is_tested": cached.tested,
            "is_anomaly_detected": cached.anomaly,
            "periodicity": cached.periodicity,
            "next_run_after": cached.next_run,
            "timestamp": now,
            "module_file": promise.path,
            "module_file_mtime": promise.modified,
            "failures": cached.failures,
        }
        self._write(f"{CACHE}/{promise.title}", data)

    def log(self, promise: Promise, level: str, message: str, now: float) -> None:
        """One execution of an executable, in the format of spec 06 §3; the oldest half goes when it grows too long."""
        path = f"{LOGS}/{promise.title}.log"
        date = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
        line = f"{date} - {level} - {int(now)}-{int(now * 1000) % 900 + 100} - {message}\n"
        try:
            old = read_below(self.directory, path, self._owners(), 2 * _LOG_LIMIT)
        except (OSError, InputError):
            old = b""
        if len(old) > _LOG_LIMIT:
            old = old[-_LOG_LIMIT // 2 :].partition(b"\n")[2]
        with contextlib.suppress(OSError, InputError):
            data = old + line.encode("utf-8", "backslashreplace")
            write_below(self.directory, path, data, owner=self.owner, durable=False)

    def _owners(self) -> frozenset[int]:
        return frozenset({os.geteuid()} if self.owner is None else {self.owner[0]})

    def _read(self, path: str) -> Any:
        try:
            return json.loads(read_below(self.directory, path, self._owners(), _LIMIT))
        except (OSError, InputError, ValueError):
            return {}

    def _write(self, path: str, data: dict[str, Any]) -> None:
        """A full disk must not keep a promise from being judged: what could not be stored is judged again."""
        with contextlib.suppress(OSError, InputError):
            write_below(self.directory, path, json.dumps(data), mode=0o644, owner=self.owner, durable=False)
