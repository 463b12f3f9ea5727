"""What a person, a node and its recipes need of a master, whichever dialect it speaks."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from slapos.model import objects
from slapos.model.states import SupplyState


@dataclass(frozen=True)
class Certificate:
    """What the authority gave: PEM texts; ``reference`` is the identity it names (``COMP-3``)."""

    certificate: str
    ca: str
    reference: str = ""


@dataclass(frozen=True)
class GivenPair:
    """A certificate and its private key, both made by the master (PEM texts)."""

    certificate: str
    key: str


@dataclass(frozen=True)
class Tree:
    """An instance and all that it requested, directly or not."""

    instance: objects.Instance
    children: tuple[Tree, ...] = ()


class Person(Protocol):
    """What a person does with a master, whichever dialect it speaks."""

    def request(
        self, request: objects.InstanceRequest, requester: str | None = None, idempotency_key: str | None = None
    ) -> objects.Instance:
        """Order or change."""
        ...

    def instance(self, guid: str | None = None, title: str | None = None) -> objects.Instance:
        """One instance."""
        ...

    def tree(self, guid: str | None = None, title: str | None = None) -> Tree:
        """An instance with everything below it."""
        ...

    def roots(self) -> tuple[objects.Instance, ...]:
        """The root instances visible to us."""
        ...

    def supply(self, node: str, release: str, state: SupplyState = SupplyState.AVAILABLE) -> objects.Supply:
        """Wish that a node holds a release, or no longer."""
        ...

    def nodes(self) -> tuple[objects.NodeView, ...]:
        """The nodes visible to us."""
        ...

    def node(self, reference: str) -> objects.NodeView:
        """One node with its supplies."""
        ...

    def history(self, subject: str, since: int = 0, limit: int = 100) -> tuple[objects.Event, ...]:
        """Events of a subject."""
        ...


class Master(Protocol):
    """See :class:`slapos.slap.client.Client` for what each call does; errors are those of the model.

    ``listening``: whether somebody waits for its events and they arrive (of a master that is polled: it answered last).
    """

    listening: bool

    def node_state(self, node: str, since: int = 0) -> objects.NodeState:
        """What a node must bring about."""
        ...

    def events(
        self, subject: str, last_id: int | None = None, stop: threading.Event | None = None
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """``(generation, data)`` whenever something changed."""
        ...

    def report(
        self,
        node: str,
        instances: Iterable[objects.InstanceReport] = (),
        supplies: Iterable[objects.SupplyStatus] = (),
        plan: Mapping[str, Any] | None = None,
        online: bool = True,
    ) -> int:
        """Tell how things are; the generation of the master."""
        ...

    def format(self, node: str, node_format: objects.NodeFormat) -> int:
        """Describe the partitions of a node."""
        ...

    def usage(self, node: str, identifier: str, document: str) -> bool:
        """Deliver a usage document."""
        ...

    def bang(self, subject: str, message: str = "") -> int:
        """Have an instance or a whole node processed again."""
        ...

    def certificate(self, kind: str, csr: str, guid: str = "") -> Certificate:
        """A certificate for a signing request."""
        ...

    def given_pair(self, node: str, partition: str) -> GivenPair | None:
        """Key and certificate of an instance where the master makes them; None: we make the key."""
        ...

    def request(
        self, request: objects.InstanceRequest, requester: str | None = None, idempotency_key: str | None = None
    ) -> objects.Instance:
        """Order or change."""
        ...

    def instance(self, guid: str | None = None, title: str | None = None) -> objects.Instance:
        """One instance."""
        ...

    def instance_of_partition(self, node: str, partition: str) -> objects.Instance:
        """The instance that lives in a partition."""
        ...

    def publish(self, guid: str, connection: Mapping[str, str]) -> int:
        """Replace the connection parameters of an instance."""
        ...

    def requested_children(self, guid: str, titles: Iterable[str]) -> int:
        """Say which children an instance still asks for."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
