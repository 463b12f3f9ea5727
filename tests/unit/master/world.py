"""A small master to talk to in tests: short names for the services, one call per transaction, a clock of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slapos.master.services import identities, instances, nodes, requests, supplies
from slapos.master.storage.database import Storage
from slapos.master.storage.transaction import WouldWrite
from slapos.model.objects import (
    Address,
    Instance,
    InstanceReport,
    InstanceRequest,
    NodeFormat,
    NodeState,
    Partition,
    SupplyStatus,
)
from slapos.model.principal import Principal
from slapos.model.states import Health, InstanceState, PrincipalKind, Role, SupplyState

OPERATOR = Principal(PrincipalKind.OPERATOR, "admin")
RELEASE = "https://example.org/website/software.cfg"
START = 1_800_000_000


def node_principal(reference: str) -> Principal:
    return Principal(PrincipalKind.NODE, reference)


def instance_principal(guid: str) -> Principal:
    return Principal(PrincipalKind.INSTANCE, guid)


def user(login: str = "jane", role: Role = Role.MEMBER, project: str = "main") -> Principal:
    return Principal(PrincipalKind.USER, login, {project: role})


def partition(number: int, capabilities: tuple[str, ...] = ()) -> Partition:
    return Partition(f"slappart{number}", (Address("lo", f"127.1.{number + 1}.1"),), capabilities)


class World:
    """``now`` only moves when a test moves it."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.now = float(START)

    def node(self, partitions: int = 3, *, network: str = "", release: str = RELEASE, project: str = "main") -> str:
        """A formatted node that holds the release (none when empty)."""
        reference = self.enrol(project)
        self.format(reference, tuple(partition(number) for number in range(partitions)), network)
        if release:
            self.supply(reference, release)
        return reference

    def enrol(self, project: str = "main") -> str:
        wish = identities.Enrolment(PrincipalKind.NODE, project=project)
        token = self.storage.write(lambda tx: identities.create_token(tx, OPERATOR, wish, self.now))
        return self.storage.write(lambda tx: identities.redeem_token(tx, token, self.now)).reference

    def format(self, node: str, partitions: tuple[Partition, ...], network: str = "") -> None:
        wanted = NodeFormat(partitions, network)
        self.storage.write(lambda tx: nodes.format_node(tx, node_principal(node), node, wanted, self.now))

    def supply(self, node: str, release: str = RELEASE, state: SupplyState = SupplyState.AVAILABLE) -> Any:
        return self.storage.write(lambda tx: supplies.supply(tx, OPERATOR, node, release, state, self.now))

    def request(
        self,
        title: str,
        *,
        by: Principal = OPERATOR,
        parameters: Mapping[str, str] | None = None,
        sla: Mapping[str, str] | None = None,
        state: InstanceState | None = None,
        **values: Any,
    ) -> Instance:
        order = InstanceRequest(
            title=title,
            release=values.pop("release", RELEASE),
            parameters=parameters or {},
            sla=sla or {},
            state=state,
            **values,
        )
        return self.ordered(order, by)

    def ordered(self, order: InstanceRequest, by: Principal = OPERATOR) -> Instance:
        """As the master does it: read first, and written only when something changes."""
        try:
            return self.storage.read(lambda tx: requests.request_instance(tx, by, order, now=self.now))
        except WouldWrite:
            return self.storage.write(lambda tx: requests.request_instance(tx, by, order, now=self.now))

    def child(self, parent: Instance | str, title: str, **values: Any) -> Instance:
        guid = parent if isinstance(parent, str) else parent.guid
        return self.request(title, by=instance_principal(guid), **values)

    def destroy(self, instance: Instance, **values: Any) -> Instance:
        return self.request(instance.title, state=InstanceState.DESTROYED, **values)

    def find(self, instance: Instance | str) -> Instance:
        guid = instance if isinstance(instance, str) else instance.guid
        return self.storage.read(lambda tx: instances.find_instance(tx, OPERATOR, guid))

    def state(self, node: str, since: int = 0) -> NodeState:
        return self.storage.read(lambda tx: nodes.node_state(tx, node_principal(node), node, since))

    def report(self, node: str, *reports: InstanceReport, supplies: tuple[SupplyStatus, ...] = ()) -> None:
        self.storage.write(lambda tx: nodes.report(tx, node_principal(node), node, reports, supplies, self.now))

    def report_destroyed(self, instance: Instance) -> None:
        gone = InstanceReport(instance.guid, Health.DESTROYED, "Nothing is left.", InstanceState.DESTROYED)
        self.report(instance.node, gone)

    def publish(self, instance: Instance, connection: Mapping[str, str], by: Principal | None = None) -> None:
        who = by or instance_principal(instance.guid)
        self.storage.write(lambda tx: instances.publish(tx, who, instance.guid, connection, self.now))
