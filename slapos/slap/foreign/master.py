"""A node's master that speaks only the XML dialect: a slapproxy, or the master of another site.

No events: it is polled.  No generations: a digest of what it wants stands for one.  What it cannot be told (plans,
sentences of health, signs of life) stays on the node; what it can be told is told when it changed.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from slapos.model import objects
from slapos.model.errors import HyperopenxError, InputError, NotFound, NotReady, Unavailable
from slapos.slap.field_client import FieldClient
from slapos.slap.foreign import documents
from slapos.slap.foreign.polling import Pace, wait
from slapos.slap.foreign.reporting import DESTROYED, Call, Reports
from slapos.slap.interface import Certificate, GivenPair
from slapos.slap.retry import Patience, delays

#: Answers after which the same call may succeed soon.  Not 500: a slapproxy says so of names it does not know (trap 9).
_PASSING = frozenset({0, 502, 503, 504, 520, 523, 524, 526})
_TAG = re.compile(r"<[^>]*>")

T = TypeVar("T")


class ForeignMaster:
    """Thread-safe.  ``node`` is the computer that asks, ``partition`` where the instance lives that asks, if one does;
    ``guid`` is that of this instance."""

    def __init__(
        self,
        *,
        client: FieldClient,
        node: str = "",
        partition: str = "",
        guid: str = "",
        patience: float | Patience = 20.0,
        poll_period: float = 20.0,
    ) -> None:
        self.client = client
        self.listening = False
        self._node = node
        self._partition = partition
        self._guid = guid
        self._patience = patience if isinstance(patience, Patience) else Patience(total=patience)
        self._period = poll_period
        self._lock = threading.Lock()
        self._known: objects.NodeState | None = None
        self._reports = Reports()
        self._wake = threading.Event()

    # nodes

    def node_state(self, node: str, since: int = 0) -> objects.NodeState:
        """All that the master wants; it is never told in parts."""
        state = documents.node_state(self._patient(lambda: self._full(node)), node)
        with self._lock:
            self._known = state
        self._insist(state)
        return state

    def events(
        self, subject: str, last_id: int | None = None, stop: threading.Event | None = None
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Ask again and again; ``(generation, data)`` when the answer is another one.  Refusals are raised."""
        stop = stop or threading.Event()
        pace = Pace(self._period)
        while not stop.is_set():
            if wait(pace.delay(), stop, self._wake):
                pace.changed()
            if stop.is_set():
                return
            try:
                generation = self.node_state(subject).generation
            except Unavailable:
                self.listening = False
                pace.failed()
                continue
            self.listening = True
            if generation == last_id:
                pace.quiet()
            else:
                last_id = generation
                pace.changed()
                yield generation, {"event": "changed", "subject": subject}

    def report(
        self,
        node: str,
        instances: Iterable[objects.InstanceReport] = (),
        supplies: Iterable[objects.SupplyStatus] = (),
        plan: Mapping[str, Any] | None = None,
        online: bool = True,
    ) -> int:
        """Tell what changed since it was last told; the last generation seen."""
        for status in supplies:
            self._tell(self._reports.of_supply(node, status))
        for report in instances:
            self._tell(self._reports.of_instance(node, self._partition_of(node, report.guid), report))
        return self._known.generation if self._known is not None else 0

    def format(self, node: str, node_format: objects.NodeFormat) -> int:
        """Describe the node and its partitions."""
        addresses = [item.ip for partition in node_format.partitions for item in partition.addresses]
        xml = documents.description(node, node_format, addresses[0] if addresses else "127.0.0.1")
        self._post("loadComputerConfigurationFromXML", {"xml": xml})
        return 0

    def usage(self, node: str, identifier: str, document: str) -> bool:
        """Deliver a usage document; the protocol has no identifiers, so one may arrive twice after a broken answer."""
        self._post("useComputer", {"computer_id": node, "use_string": document})
        return True

    def bang(self, subject: str, message: str = "") -> int:
        """Have an instance, by its guid, or the whole node processed again."""
        if subject == self._node:
            self._post("computerBang", {"computer_id": subject, "message": message})
        else:
            identity = (self._node, self._partition_of(self._node, subject))
            self._post("softwareInstanceBang", _named(identity) | {"message": message}, identity)
        self._wake.set()
        return 0

    # certificates

    def certificate(self, kind: str, csr: str, guid: str = "") -> Certificate:
        """There is no such thing in this dialect."""
        raise InputError(
            f"The master {self.client.base} signs no requests: it speaks the slap protocol only.",
            reference="not-in-dialect",
            context={"field": "kind", "value": kind, "address": self.client.base},
            hint="Have the release make certificates of its own, or use a Hyper Open X master.",
        )

    def given_pair(self, node: str, partition: str) -> GivenPair | None:
        """Both made by the master; empty texts where it has no authority."""
        found = self._patient(
            lambda: self.client.read(
                "getComputerPartitionCertificate", computer_id=node, computer_partition_id=partition
            )
        )
        pair = found if isinstance(found, Mapping) else {}
        return GivenPair(str(pair.get("certificate") or ""), str(pair.get("key") or ""))

    # instances

    def request(
        self, request: objects.InstanceRequest, requester: str | None = None, idempotency_key: str | None = None
    ) -> objects.Instance:
        """Order or change; the instance that lives in our partition asks, otherwise the person."""
        identity = (self._node, self._partition) if self._partition else None
        fields = documents.request_fields(request) | (_named(identity) if identity else {})
        try:
            return documents.answered(self._post("requestComputerPartition", fields, identity), request)
        except NotReady:
            return documents.pending(request, "The master accepted the order and has no place for it yet.")
        except NotFound as error:
            raise _no_place(error, request.title) from error

    def instance(self, guid: str | None = None, title: str | None = None) -> objects.Instance:
        """Ours, or that of another partition of our node by its guid."""
        if guid is None:
            raise NotFound(f"The master cannot tell the instance {title!r} by its title.", context={"title": title})
        return self.instance_of_partition(self._node, self._partition_of(self._node, guid))

    def instance_of_partition(self, node: str, partition: str) -> objects.Instance:
        """The instance there; NotFound ``partition-free`` when there is none."""
        found = self._patient(
            lambda: self.client.read(
                "registerComputerPartition", computer_reference=node, computer_partition_reference=partition
            )
        )
        instance = documents.instance(found, node)
        if instance is None:
            raise NotFound(
                f"No instance lives in {node} {partition}.",
                reference="partition-free",
                context={"node": node, "partition": partition},
            )
        return instance

    def publish(self, guid: str, connection: Mapping[str, str]) -> int:
        """Of our instance; another guid is that of a shared instance which ours serves."""
        identity = (self._node, self._partition)
        fields = {
            "connection_xml": documents.marshalled(dict(connection)),
            "slave_reference": None if guid == self._own_guid() else guid,
        }
        self._post("setComputerPartitionConnectionXml", _named(identity) | fields, identity)
        return 0

    def requested_children(self, guid: str, titles: Iterable[str]) -> int:
        """A master that does not have this (a slapproxy) does not miss it."""
        identity = (self._node, self._partition_of(self._node, guid))
        fields = _named(identity) | {"instance_reference_xml": documents.marshalled(list(titles))}
        with contextlib.suppress(NotFound):
            self._post("updateComputerPartitionRelatedInstanceList", fields, identity)
        return 0

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def _full(self, node: str) -> Any:
        try:
            return self.client.read("getFullComputerInformation", computer_id=node)
        except NotFound:
            return self.client.read("getComputerInformation", computer_id=node)

    def _own_guid(self) -> str:
        if not self._guid:
            self._guid = self.instance_of_partition(self._node, self._partition).guid
        return self._guid

    def _partition_of(self, node: str, guid: str) -> str:
        """Where the instance lives; :class:`NotFound` ``no-such-instance`` when the master has it here no more."""
        if self._partition and (not self._guid or guid == self._guid):
            return self._partition
        for state in (self._known, None):
            found = state or self.node_state(node)
            for name, instance in found.partitions.items():
                if instance is not None and instance.guid == guid:
                    return name
        raise NotFound(
            f"The master knows no instance {guid} on {node}.",
            reference="no-such-instance",
            context={"guid": guid, "node": node},
        )

    def _tell(self, call: Call | None) -> None:
        """One report, unless it was told already; then what the master wants may be another."""
        if call is not None:
            self._post(call.endpoint, call.fields, call.identity)
            self._reports.told(call)
            self._wake.set()

    def _insist(self, state: objects.NodeState) -> None:
        """A master may answer «done» and keep the partition while children live (trap 16): it is told again."""
        for name, instance in state.partitions.items():
            if self._reports.must_repeat(name, instance):
                identity = (self._node, name)
                with contextlib.suppress(HyperopenxError):  # at the next look again
                    self._post(DESTROYED, _named(identity), identity)

    def _post(self, endpoint: str, fields: Mapping[str, str | None], identity: tuple[str, str] | None = None) -> Any:
        return self._patient(lambda: self.client.post(endpoint, fields, partition=identity))

    def _patient(self, call: Callable[[], T]) -> T:
        """Try again while the master is away for a moment."""
        waits = delays(self._patience)
        while True:
            try:
                return call()
            except Unavailable as error:
                step = next(waits, None)
                if step is None or error.context.get("status") not in _PASSING:
                    raise
                time.sleep(step)


def _named(identity: tuple[str, str]) -> dict[str, str | None]:
    return {"computer_id": identity[0], "computer_partition_id": identity[1]}


def _no_place(error: NotFound, title: str) -> HyperopenxError:
    said = " ".join(_TAG.sub(" ", str(error.context.get("body", ""))).split())
    return NotFound(
        f"The master has no place for {title!r}{f': {said}' if said else ''}.",
        reference="no-place",
        context=error.context | {"title": title},
        hint="It does not keep the order: ask again once it has a free partition, or a host for a shared instance.",
    )
