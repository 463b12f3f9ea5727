"""Instances, as persons, nodes and instances see and change them.

All functions take the transaction and the principal first, check the rights themselves, and know nothing of a wire
format.  Orders live in :mod:`.requests`, trees in :mod:`.trees`, allocation in :mod:`.placing`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Select, bindparam, select

from slapos.master.authorization import Action
from slapos.master.services import access, history
from slapos.master.services.changes import about, touch_number, write
from slapos.master.services.placing import serve_pending
from slapos.master.services.records import Row, dump, select_instances, shared_of, to_instances
from slapos.master.services.requests import request_instance
from slapos.master.services.shown import ShownPartition, shown_partition
from slapos.master.services.trees import bang_instance, rename, set_requested_children, tree
from slapos.master.storage import tables
from slapos.master.storage.identities import instance_guid
from slapos.master.storage.prepared import prepared
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import NotFound
from slapos.model.objects import Instance, SharedInstance
from slapos.model.principal import Principal
from slapos.model.states import PrincipalKind
from slapos.model.text import check_texts

__all__ = [
    "bang_instance",
    "find_instance",
    "find_instance_by_title",
    "instance_of_partition",
    "list_node_instances",
    "list_roots",
    "list_shared",
    "publish",
    "rename",
    "request_instance",
    "sees_as_node",
    "serve_pending",
    "set_requested_children",
    "show_partition",
    "tree",
]


def find_instance(tx: Transaction, principal: Principal, guid: str) -> Instance:
    """Also one that is gone, as long as its row is kept.  Raises :class:`NotFound`, :class:`Refused`."""
    return _seen(tx, principal, access.find_row(tx, principal, guid))


def find_instance_by_title(tx: Transaction, principal: Principal, title: str, project: str = "") -> Instance:
    """The live root with that title in a project that the principal sees; of an instance: in its own tree."""
    instances = tables.instances
    statement = select_instances().where(instances.c.title == title, instances.c.gone.is_(None))
    if principal.kind is PrincipalKind.INSTANCE:
        asking = access.asking_instance(tx, principal)
        statement = statement.where(instances.c.tree == asking["tree"])
    else:
        projects = [project] if project else access.visible_projects(tx, principal)
        statement = statement.where(instances.c.requester.is_(None), instances.c.project.in_(projects))
    row = tx.execute(statement.order_by(instances.c.number).limit(1)).mappings().one_or_none()
    if row is None:
        raise access.no_instance(repr(title))
    return _seen(tx, principal, access.find_row(tx, principal, instance_guid(row["number"])))


def instance_of_partition(tx: Transaction, principal: Principal, node: str, partition: str) -> Instance:
    """The instance that lives there; :class:`NotFound` when the partition is free or unknown."""
    found = _instance_in.value(tx, of_node=_node_number(tx, principal, node), of_reference=partition)
    if found is None:
        raise _free(node, partition)
    return _seen(tx, principal, access.find_row(tx, principal, instance_guid(found)))


def show_partition(tx: Transaction, principal: Principal, node: str, partition: str) -> ShownPartition:
    """The same as it is shown to its node; a destroyed one that is retained is stopped for some (:func:`sees_as_node`).

    Raises as :func:`instance_of_partition` does.
    """
    found = shown_partition(tx, _node_number(tx, principal, node), partition)
    if found is None or found.is_free:
        raise _free(node, partition)
    access.check_row(tx, principal, found.values, Action.INSTANCE_READ)
    return found


def _node_number(tx: Transaction, principal: Principal, node: str) -> int:
    if principal.kind is PrincipalKind.INSTANCE:
        return access.parse_node(node)
    return access.find_node_number(tx, principal, node, Action.NODE_READ)


def _free(node: str, partition: str) -> NotFound:
    return NotFound(
        f"No instance lives in {partition} of {node}.",
        reference="partition-free",
        context={"node": node, "partition": partition},
        hint="See what the node holds with `slapos computer info`.",
    )


@prepared
def _instance_in() -> Select[tuple[int | None]]:
    place = tables.partitions
    mine = (place.c.node == bindparam("of_node"), place.c.reference == bindparam("of_reference"))
    return select(place.c.instance).where(*mine)


def list_roots(tx: Transaction, principal: Principal) -> list[Instance]:
    """The live roots of the projects that the principal sees, oldest first."""
    instances = tables.instances
    statement = select_instances().where(
        instances.c.requester.is_(None),
        instances.c.gone.is_(None),
        instances.c.project.in_(access.visible_projects(tx, principal)),
    )
    return to_instances(tx, tx.execute(statement.order_by(instances.c.number)).mappings().all())


def list_node_instances(tx: Transaction, principal: Principal, node: str) -> list[Instance]:
    """What lives in the node's partitions, in the order of its partitions."""
    number = access.find_node_number(tx, principal, node, Action.NODE_READ)
    place = tables.partitions.alias("of_node")
    statement = (
        select_instances()
        .join(place, place.c.instance == tables.instances.c.number)
        .where(place.c.node == number)
        .order_by(place.c.position)
    )
    return to_instances(tx, tx.execute(statement).mappings().all(), for_node=sees_as_node(principal))


def list_shared(tx: Transaction, principal: Principal, host_guid: str) -> list[SharedInstance]:
    """The live shared instances that an instance serves, oldest first."""
    row = access.find_row(tx, principal, host_guid)
    return list(shared_of(tx, [row["number"]]).get(row["number"], ()))


def publish(tx: Transaction, principal: Principal, guid: str, connection: Mapping[str, str], now: float) -> None:
    """Sets the connection parameters.  When they differ, the direct requester is processed again, and only it."""
    values = check_texts("connection", connection)
    row = access.find_row(tx, principal, guid, Action.INSTANCE_PUBLISH)
    if row["gone"] is not None or json.loads(row["connection"]) == values:
        return
    write(tx, row, connection=dump(values))
    touch_number(tx, row["requester"], now)
    sentence = f"Published: {', '.join(values) or 'nothing'}."
    history.record(tx, about(row), "published", sentence, by=history.actor(principal), now=now)


def _seen(tx: Transaction, principal: Principal, row: Row) -> Instance:
    return to_instances(tx, [row], for_node=sees_as_node(principal))[0]


def sees_as_node(principal: Principal) -> bool:
    """Nodes and instances see a retained instance as stopped: that is what is to be done."""
    return principal.kind in (PrincipalKind.NODE, PrincipalKind.INSTANCE)
