"""What is known of one partition before deciding: plain data, made by ``observe``, read by the goals.  Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slapos.model.objects import Instance, PromiseResult

ORDER, RELEASE, ENGINE = "order", "release", "engine"


@dataclass(frozen=True)
class Declared:
    """A service as the files of the partition declare it.

    ``restart`` and ``reload`` are digests: another ``restart`` means another process, another ``reload`` alone means
    that ``reload_signal`` is enough.  ``check_command`` must accept a new configuration before either.
    """

    name: str
    watched: bool
    restart: str
    reload: str = ""
    reload_signal: str = "HUP"
    check_command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Running:
    """A service as the supervisor knows it.

    ``state``: running, crashing (started again after a delay), stopped, ended (a one-shot that did its work) or
    failed (one that did not).  ``restart`` and ``reload`` are the digests of what runs; ``exit_code`` is that of the
    last end, negative for a signal, None when nobody saw it; ``log`` is the path of its output.
    """

    name: str
    state: str
    restart: str = ""
    reload: str = ""
    pid: int = 0
    since: float = 0.0
    exit_code: int | None = None
    log: str = ""


@dataclass(frozen=True)
class Refusal:
    """A configuration that a service's own check command refused."""

    token: str  # "<restart> <reload>" of what was refused
    message: str  # what the command said


@dataclass(frozen=True)
class Record:
    """What the node remembers of a partition, on disk, outside of it."""

    guid: str = ""  # the instance that was let in
    run_inputs: Mapping[str, str] = field(default_factory=dict)  # of the last run that ended
    run_outcome: str = ""  # done, failed, waiting, timeout, interrupted, or empty: never or cut
    run_sentence: str = ""
    run_error: Mapping[str, Any] = field(default_factory=dict)  # of the last run that failed, until one succeeds
    run_at: float = 0.0
    renewed_at: float = 0.0  # when a run with other inputs than the one before it began, then when it ended
    refusals: Mapping[str, Refusal] = field(default_factory=dict)  # by service
    changed_at: float = 0.0  # when a service was last started, restarted or reloaded
    children: tuple[str, ...] = ()  # titles of the requested instances that the master was told
    promises: tuple[PromiseResult, ...] = ()
    promises_for: str = ""  # digest of what was checked
    promises_at: float = 0.0
    promises_next: float = 0.0  # when the first of them is due again
    retention_until: float = 0.0
    prerm_done: tuple[str, ...] = ()
    wiped: bool = False
    scanned: bool = False
    destroyed: str = ""  # guid of the last instance that was destroyed here


@dataclass(frozen=True)
class Wanted:
    """What a partition must hold for its instance.

    ``inputs`` maps order, release and engine to digests (no release yet: no ``release`` key); ``files`` is the
    digest of the document and profile to write.
    """

    instance: Instance
    inputs: Mapping[str, str] = field(default_factory=dict)
    files: str = ""


@dataclass(frozen=True)
class Observed:
    """A partition as it is."""

    partition: str
    record: Record = field(default_factory=Record)
    exists: bool = True
    prepared: bool = False
    empty: bool = True  # nothing but what format puts there
    release_ready: bool = False
    release_sentence: str = ""  # why it is not ready
    release_error: Mapping[str, Any] = field(default_factory=dict)  # what its last build ended with
    files: str = ""  # digest of the document and profile found
    renew_at: float | None = None  # when its certificate is due for renewal; None: it has no usable one
    has_certificate: bool = False  # usable or not
    declared: tuple[Declared, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)  # names that are not obeyed, and why
    running: tuple[Running, ...] = ()
    prerm: tuple[str, ...] = ()
    has_promises: bool = False
    promises_due: float = 0.0  # when the next promise may run
    children: tuple[str, ...] = ()  # titles of the instances that the last run requested, sorted
    period: float = 86400.0  # run again after this many seconds; 0: at each cycle, negative: never for its age

    @property
    def is_dirty(self) -> bool:
        """Whether anything of an instance is here."""
        return bool(self.record.guid or not self.empty or self.running or self.has_certificate)

    def emptied(self) -> Observed:
        """As it will be once it was wiped and is ready for the next instance."""
        return Observed(
            partition=self.partition,
            exists=self.exists,
            release_ready=self.release_ready,
            release_sentence=self.release_sentence,
            period=self.period,
        )


def record_to_data(record: Record) -> dict[str, Any]:
    """JSON of a record."""
    return {
        **record.__dict__,
        "refusals": {name: dataclasses.asdict(item) for name, item in record.refusals.items()},
        "promises": [dataclasses.asdict(item) for item in record.promises],
    }


def record_from_data(data: Mapping[str, Any]) -> Record:
    """The inverse; members that this version does not know are left out."""
    known = {item.name for item in dataclasses.fields(Record)}
    values = {key: value for key, value in data.items() if key in known}
    values["refusals"] = {name: Refusal(**item) for name, item in values.get("refusals", {}).items()}
    values["promises"] = tuple(PromiseResult(**item) for item in values.get("promises", ()))
    for name in ("prerm_done", "children"):
        values[name] = tuple(values.get(name, ()))
    return Record(**values)
