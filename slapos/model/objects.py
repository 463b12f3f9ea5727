"""Words of the system as data.  Names follow docs/explanation/words.rst; wire names are translated in ``wire``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slapos.model.states import Health, InstanceState, SupplyReport, SupplyState

DEFAULT_SOFTWARE_TYPE = "default"
DEFAULT_PROJECT = "main"


@dataclass(frozen=True)
class Address:
    """One address of a partition: interface name and IP (textual, IPv6 without brackets)."""

    interface: str
    ip: str


@dataclass(frozen=True)
class Partition:
    """A place for one instance on a node."""

    reference: str
    addresses: tuple[Address, ...] = ()
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeFormat:
    """What a node says of itself when formatted."""

    partitions: tuple[Partition, ...]
    network: str = ""  # network_guid: nodes with the same value share a network
    details: Mapping[str, Any] = field(default_factory=dict)  # os, python and hyperopenx versions


@dataclass(frozen=True)
class InstanceRequest:
    """An order.  ``parameters`` are flat texts; structured data travels as JSON text under ``_``.

    ``state`` None keeps the state of an existing instance and means started for a new one.
    """

    title: str
    release: str
    software_type: str = DEFAULT_SOFTWARE_TYPE
    parameters: Mapping[str, str] = field(default_factory=dict)
    sla: Mapping[str, str] = field(default_factory=dict)
    state: InstanceState | None = None
    shared: bool = False


@dataclass(frozen=True)
class SharedInstance:
    """A set of parameters served by a host instance."""

    guid: str
    title: str
    software_type: str
    parameters: Mapping[str, str]
    connection: Mapping[str, str] = field(default_factory=dict)
    state: InstanceState = InstanceState.STARTED
    timestamp: int = 0


@dataclass(frozen=True)
class PromiseResult:
    """One run of a promise.  ``date`` is UTC epoch seconds, ``message`` at most 5,000 characters."""

    name: str
    ok: bool
    message: str
    date: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Instance:
    """An instance as its node and its requester see it.

    ``timestamp`` is integer seconds, strictly increasing per instance, and changes exactly when the node has
    something to do; ``generation`` is the master's counter at that change.
    """

    guid: str
    title: str
    root_guid: str
    root_title: str
    project: str
    release: str
    software_type: str
    state: InstanceState
    parameters: Mapping[str, str]
    sla: Mapping[str, str]
    connection: Mapping[str, str]
    shared: bool = False
    node: str = ""  # COMP-<n>, or as ``master`` names it; empty while pending
    partition: str = ""
    addresses: tuple[Address, ...] = ()
    requester_guid: str = ""  # empty for a root
    orphan: bool = False  # its requester no longer asks for it
    shared_instances: tuple[SharedInstance, ...] = ()
    timestamp: int = 0
    generation: int = 0
    reported_state: str = ""  # started, stopped, destroyed or empty
    health: Health = Health.PENDING
    sentence: str = ""
    reasons: tuple[str, ...] = ()  # of the last allocation decision, while pending
    promises: tuple[PromiseResult, ...] = ()
    error: Mapping[str, Any] = field(default_factory=dict)  # see InstanceReport
    master: str = ""  # URL of the other master that serves it; empty: this one does


@dataclass(frozen=True)
class Supply:
    """A release wished on a node."""

    release: str
    node: str
    state: SupplyState
    generation: int = 0
    reported: SupplyReport = SupplyReport.UNKNOWN
    sentence: str = ""
    error: Mapping[str, Any] = field(default_factory=dict)  # see SupplyStatus


@dataclass(frozen=True)
class NodeView:
    """A node as a person sees it.  ``seen`` is the UTC epoch second of the last sign of life (0: never)."""

    reference: str
    name: str
    project: str
    seen: int
    online: bool
    partitions: int
    busy: int
    network: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    supplies: tuple[Supply, ...] = ()


@dataclass(frozen=True)
class NodeState:
    """What a node must bring about, since ``generation``.

    ``complete`` True: ``supplies`` and ``partitions`` are all there are; False: only those that changed.
    A partition mapped to None is free.
    """

    generation: int
    complete: bool
    supplies: tuple[Supply, ...]
    partitions: Mapping[str, Instance | None]


@dataclass(frozen=True)
class InstanceReport:
    """What a node says of an instance after a cycle: one sentence for people, the rest for machines.

    ``error`` is what lies behind the last failure, until a success: :func:`slapos.model.trouble.told`.
    """

    guid: str
    health: Health
    sentence: str
    reported_state: str = ""  # started, stopped, destroyed; empty leaves it as it was
    timestamp: int = 0  # the wanted timestamp that was processed
    promises: tuple[PromiseResult, ...] = ()
    error: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SupplyStatus:
    """What a node says of a supply; ``error`` as that of an :class:`InstanceReport`."""

    release: str
    reported: SupplyReport
    sentence: str = ""
    error: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """One line of a history.  ``subject`` is a guid, a node reference or ``<node> <release>``."""

    number: int
    date: int
    subject: str
    kind: str  # requested, allocated, pending, reported, bang, renamed, destroyed, supplied, …
    sentence: str
    actor: str = ""
