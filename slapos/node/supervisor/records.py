"""What a supervisor remembers of each service, one file each, so that its successor knows it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from slapos.model.errors import InputError
from slapos.node.supervisor.interface import ServiceSpec, run_identity, spec_from_data
from slapos.system.files import atomic_write, read_json

_SUFFIX = ".json"


class Wanted(StrEnum):
    """What was asked for a service last."""

    RUN = "run"
    STOP = "stop"
    REMOVE = "remove"


@dataclass(frozen=True)
class ProcessRecord:
    """A process that was started: told apart by pid, start time and boot; ``fingerprint`` of the spec it runs."""

    pid: int
    start: int
    boot: str
    since: float
    fingerprint: str
    digest: str = ""
    reload_digest: str = ""


@dataclass(frozen=True)
class Record:
    """``ended``: an unwatched service came to its end and is not to be started again in this boot."""

    spec: ServiceSpec
    wanted: Wanted = Wanted.RUN
    process: ProcessRecord | None = None
    ended: bool = False
    exit_code: int | None = None
    crashes: int = 0

    def as_data(self) -> dict[str, Any]:
        """JSON-compatible; :func:`record_from_data` is the inverse."""
        return {
            "spec": self.spec.as_data(),
            "wanted": str(self.wanted),
            "process": None if self.process is None else dict(self.process.__dict__),
            "ended": self.ended,
            "exit_code": self.exit_code,
            "crashes": self.crashes,
        }


def record_from_data(data: Mapping[str, Any]) -> Record:
    """The inverse of :meth:`Record.as_data`; :class:`InputError` when it does not fit."""
    try:
        process = data["process"]
        return Record(
            spec=spec_from_data(data["spec"]),
            wanted=Wanted(data["wanted"]),
            process=None if process is None else ProcessRecord(**process),
            ended=bool(data["ended"]),
            exit_code=data["exit_code"],
            crashes=int(data["crashes"]),
        )
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise InputError(f"This is no record of a service: {error}.", reference="invalid-record") from None


def fingerprint(spec: ServiceSpec) -> str:
    """Of what a process of this spec runs."""
    text = json.dumps(run_identity(spec), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


class Store:
    """The records of one node in ``directory``.

    Written by rename, without waiting for the disk: after a crash of the machine no recorded pid means anything, and
    the node adds what it wants again.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def _path(self, key: str) -> str:
        return os.path.join(self.directory, key + _SUFFIX)

    def write(self, record: Record) -> None:
        """:class:`OSError` when the disk refuses; the old record is then still there."""
        atomic_write(self._path(record.spec.key), json.dumps(record.as_data()), 0o600, fsync=False)

    def forget(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(key))

    def load(self) -> Iterator[tuple[str, Record | None]]:
        """File name and record; None for one that cannot be read (it is then as if it did not exist)."""
        for name in sorted(os.listdir(self.directory)):
            if not name.endswith(_SUFFIX) or name.startswith("."):
                continue
            try:
                yield name, record_from_data(read_json(os.path.join(self.directory, name), {}))
            except InputError:
                yield name, None
