"""Status dictionaries of nodes, partitions and releases (spec/01 §3.5)."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

from sqlalchemy import select

from slapos.master.calls import Call
from slapos.master.field.caller import Acting
from slapos.master.field.routes import NODE, PARTITION, Field, FieldAnswer, FieldRoute, Marshalled
from slapos.master.field.supplies import check_supplied
from slapos.master.services import history, instances, nodes, supplies
from slapos.master.storage import tables
from slapos.master.storage.identities import instance_number
from slapos.wire.field_codec import access_status, node_status, supply_status


def node_state(call: Call) -> FieldAnswer:
    """When the node was last there."""
    node = nodes.find_node(call.tx, call.principal, call.text(NODE), call.now)
    text = node_status(node, call.now) if node.seen else ""
    return _status(call, ("Compute Node", node.reference), text, node.seen)


def partition_state(call: Call) -> FieldAnswer:
    """What was last reported of the instance that lives there."""
    found = instances.instance_of_partition(call.tx, call.principal, call.text(NODE), call.text(PARTITION))
    table = tables.instances
    reported = select(table.c.reported).where(table.c.number == instance_number(found.guid))
    since = call.tx.execute(reported).scalar_one()
    return _status(call, ("Software Instance", found.guid), access_status(found), since, found.reported_state)


def release_state(call: Call) -> FieldAnswer:
    """What was last reported of a release on a node."""
    node, url = call.text(NODE), call.text("url")
    found = check_supplied(supplies.list_supplies(call.tx, call.principal, node), node, url)
    subject = f"{node} {url}"
    said = history.events(call.tx, call.principal, subject, limit=1)
    since = said[-1].date if said else 0
    return _status(call, ("Software Installation", subject), supply_status(found), since, found.state.value)


def _status(call: Call, what: tuple[str, str], text: str, since: int, state: str = "") -> FieldAnswer:
    kind, reference = what
    quiet = int(call.now) - since
    status: dict[str, Any] = {
        "user": "SlapOS Master",
        "created_at": formatdate(since or int(call.now), usegmt=True),
        "since": formatdate(since or int(call.now), usegmt=True),
        "state": state,
        "text": text or f"#error no data found for {reference}",
        "reference": reference,
        "portal_type": kind,
        "no_data_since_5_minutes": int(quiet >= 300),
        "no_data_since_15_minutes": int(quiet >= 900),
    }
    return Marshalled(status if text else {**status, "no_data": 1})


STATUSES = {
    "getComputerStatus": FieldRoute(node_state, "GET", (Field(NODE),)),
    "getComputerPartitionStatus": FieldRoute(
        partition_state, "GET", (Field(NODE), Field(PARTITION)), acts=Acting.PARTITION
    ),
    "getSoftwareInstallationStatus": FieldRoute(release_state, "GET", (Field("url"), Field(NODE))),
}
