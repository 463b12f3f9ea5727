"""What the node needs of a supervisor: keep processes running, say what they do, survive its own death.

A supervisor remembers its services: after it was killed and started again it knows them, adopts those that still
run (same pid, not restarted) and starts those that should run and do not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from slapos.model.errors import InputError
from slapos.model.text import is_file_name

_DIGEST_LIMIT = 200


class ServiceState(StrEnum):
    """What a service does now."""

    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"  # crashed; it will be started again after a delay
    STOPPING = "stopping"  # told to end, some of its processes are still there
    STOPPED = "stopped"  # because somebody stopped it
    EXITED = "exited"  # an unwatched one, by itself


@dataclass(frozen=True, kw_only=True)
class ServiceSpec:
    """A process to keep.

    ``command`` holds an absolute path and its arguments, handed over as they are.  ``user`` is a name (needs root),
    None is ourselves.  ``log`` is a file in a directory of the node, never of the partition (empty: thrown away).
    ``environment`` is all that it gets (plus one mark of ours).  ``stop_seconds``: between TERM and KILL.
    ``watched``: started again when it ends.
    ``digest`` names what it runs: adding a spec with another digest, command, user, directory or environment restarts
    the service, anything else does not.  ``reload_digest`` names what it read: see :meth:`Supervisor.reload`.
    """

    partition: str
    name: str
    command: tuple[str, ...]
    directory: str
    log: str
    user: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: float = 60.0
    watched: bool = True
    digest: str = ""
    reload_digest: str = ""
    umask: int = 0o027

    @property
    def key(self) -> str:
        """``<partition>:<name>``, the service's name everywhere else here."""
        return f"{self.partition}:{self.name}"

    def as_data(self) -> dict[str, Any]:
        """JSON-compatible; :func:`spec_from_data` is the inverse."""
        data = dict(self.__dict__)
        data["command"] = list(self.command)
        data["environment"] = dict(self.environment)
        return data


@dataclass(frozen=True)
class ServiceStatus:
    """What the supervisor knows.  ``pid`` 0: not running; ``since`` UTC epoch seconds of the last change of state.

    ``exit_code`` of the last end, negative for a signal, None when none was seen (never ended, or it was adopted).
    ``digest`` and ``reload_digest`` belong to what **runs** (or ran last).  ``crashes`` counts ends in a row that
    came too soon; ``adopted``: it survived an earlier supervisor; ``detail``: why it could not be started.
    """

    name: str
    state: ServiceState
    pid: int = 0
    start: int = 0
    since: float = 0.0
    exit_code: int | None = None
    digest: str = ""
    reload_digest: str = ""
    crashes: int = 0
    adopted: bool = False
    watched: bool = True
    detail: str = ""


@dataclass(frozen=True)
class ServiceEvent:
    """A service changed its state.  Only a hint to look: events are lost while nobody listens."""

    name: str
    state: ServiceState
    pid: int = 0
    exit_code: int | None = None


class Supervisor(Protocol):
    """All calls are safe from any thread.

    :class:`~slapos.model.errors.Unavailable` ``supervisor-unreachable`` when it does not answer,
    :class:`~slapos.model.errors.NotFound` ``no-such-service`` for an unknown name.
    """

    def ensure(self) -> bool:
        """It runs; whether it had to be started."""

    def is_there(self) -> bool:
        """Whether its process exists, which costs nothing to see; one that hangs is there, too."""

    def is_running(self) -> bool:
        """Whether it answers."""

    def shutdown(self, timeout: float = 90.0) -> None:
        """Stop all services side by side, then itself; the services are started again by the next :meth:`ensure`."""

    def services(self, partition: str | None = None) -> dict[str, ServiceStatus]:
        """By ``<partition>:<service>``; all, or those of one partition."""

    def add(self, spec: ServiceSpec) -> None:
        """It is known, and runs as the spec says: added, restarted when what runs differs, else left alone."""

    def remove(self, name: str, wait: bool = True) -> None:
        """Stopped with all its processes and forgotten; nothing when unknown."""

    def start(self, name: str) -> None:
        """Run; nothing when it does."""

    def stop(self, name: str, wait: bool = True) -> None:
        """End it and all that it started; with ``wait``, return when that is so."""

    def restart(self, name: str) -> None:
        """Stop, then start; returns at once."""

    def signal(self, name: str, number: int) -> None:
        """To its main process; nothing when it does not run."""

    def reload(self, name: str, number: int, reload_digest: str) -> None:
        """Signal it and remember that it read ``reload_digest``."""


def check_spec(spec: ServiceSpec) -> ServiceSpec:
    """``spec`` unchanged; :class:`InputError` ``invalid-service`` with the field when it cannot be run safely."""
    problem = _problem(spec)
    if problem is not None:
        which, why = problem
        raise InputError(
            f"service {spec.name!r} of {spec.partition!r}: {why}.",
            reference="invalid-service",
            context={"field": which, "partition": spec.partition, "service": spec.name},
            hint="Names are made of letters, digits, dot, dash and underscore, and do not begin with a dot or dash.",
        )
    return spec


def _problem(spec: ServiceSpec) -> tuple[str, str] | None:
    texts = (*spec.command, spec.directory, spec.log, *spec.environment, *spec.environment.values())
    rules = (
        ("partition", is_file_name(spec.partition), "the partition's name is not allowed"),
        ("name", is_file_name(spec.name), "this name is not allowed"),
        ("command", bool(spec.command) and spec.command[0].startswith("/"), "the command is not an absolute path"),
        ("directory", spec.directory.startswith("/"), "the directory is not an absolute path"),
        ("log", spec.log.startswith("/") or not spec.log, "the log is not an absolute path"),
        ("command", not any("\0" in text for text in texts), "a text holds a NUL"),
        (
            "environment",
            not any(re.search("=|^$", key) for key in spec.environment),
            "a variable's name is not allowed",
        ),
        ("stop_seconds", 0 <= spec.stop_seconds <= 86400, "stop_seconds is not between 0 and 86400"),
        ("digest", max(len(spec.digest), len(spec.reload_digest)) <= _DIGEST_LIMIT, "a digest is too long"),
    )
    return next(((which, why) for which, good, why in rules if not good), None)


def spec_from_data(data: Mapping[str, Any]) -> ServiceSpec:
    """The inverse of :meth:`ServiceSpec.as_data`; :class:`InputError` when it does not fit."""
    try:
        return check_spec(ServiceSpec(**{**data, "command": tuple(data["command"])}))
    except (TypeError, KeyError) as error:
        raise InputError(
            f"This is no service: {error}.", reference="invalid-service", context={"field": str(error)}
        ) from None


def runs_the_same(left: ServiceSpec, right: ServiceSpec) -> bool:
    """Whether a process started for ``left`` may go on under ``right``."""
    return run_identity(left) == run_identity(right)


def run_identity(spec: ServiceSpec) -> dict[str, Any]:
    """What a process is started with: when it differs, the process is another one.  JSON-compatible."""
    names = ("command", "directory", "user", "environment", "digest", "umask", "log")
    data = spec.as_data()
    return {name: data[name] for name in names}
