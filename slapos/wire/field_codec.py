"""Documents of the field's JSON methods (spec/02 §1.3) from objects of the model, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from slapos.model import objects
from slapos.model.states import Health, InstanceState, SupplyReport
from slapos.wire.field_methods import NOT_READY_DOCUMENT


def instance_document(instance: objects.Instance) -> dict[str, Any]:
    """The instance document: all members, no other."""
    return {
        "title": instance.title,
        "instance_guid": instance.guid,
        "software_release_uri": instance.release,
        "software_type": instance.software_type,
        "state": instance.state.value,
        "connection_parameters": dict(instance.connection),
        "parameters": dict(instance.parameters),
        "shared": instance.shared,
        "root_instance_title": instance.root_title,
        "ip_list": [[address.interface, address.ip] for address in instance.addresses],
        "full_ip_list": [],
        "sla_parameters": dict(instance.sla),
        "computer_guid": instance.node,
        "compute_partition_id": instance.partition,
        "processing_timestamp": instance.timestamp,
        "access_status_message": access_status(instance),
    }


def instance_or_not_ready(instance: objects.Instance) -> dict[str, Any]:
    """The document, or the one that says: pending."""
    return instance_document(instance) if instance.node else dict(NOT_READY_DOCUMENT)


def access_status(instance: objects.Instance) -> str:
    """``#access …`` or ``#error …`` as panels of the field parse it; "" before the first report."""
    if instance.health in (Health.PENDING, Health.WORKING, Health.WAITING) and not instance.reported_state:
        return ""
    return f"{'#error' if instance.health is Health.ERROR else '#access'} {instance.sentence}".rstrip()


def node_status(node: objects.NodeView, now: float) -> str:
    """The same of a node: when it was last seen; "" when it never was."""
    if not node.seen:
        return ""
    return f"{'#access' if node.online else '#error'} {node.reference} was seen {int(now) - node.seen} s ago."


def supply_status(supply: objects.Supply) -> str:
    """The same of a release on a node; "" before the first report."""
    said = {
        SupplyReport.UNKNOWN: "",
        SupplyReport.BUILDING: f"#building software release {supply.release}",
        SupplyReport.ERROR: f"#error while installing {supply.release}",
    }
    return said.get(supply.reported, f"#access software release {supply.release} {supply.reported.value}")


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as they are stored: text → text."""
    return {key: text_of(value) for key, value in values.items()}


def text_of(value: Any) -> str:
    """The text of a value, the same in every dialect of the field: ``True``, ``None``, ``1.5`` as its masters do,
    lists and objects as JSON, so that no information is lost.  Raises :class:`ValueError`, :class:`TypeError`."""
    if value is None or isinstance(value, str | bool | int | float):
        return str(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)


def order_of(message: Mapping[str, Any]) -> objects.InstanceRequest:
    """The order in a ``slapos.post.v0.software_instance`` message; the state defaults to started there."""
    return objects.InstanceRequest(
        title=message["title"],
        release=message["software_release_uri"],
        software_type=message["software_type"] or objects.DEFAULT_SOFTWARE_TYPE,
        parameters=texts(message.get("parameters", {})),
        sla=texts(message.get("sla_parameters", {})),
        state=InstanceState(message.get("state", "started")),
        shared=bool(message.get("shared", False)),
    )


def format_of(message: Mapping[str, Any]) -> objects.NodeFormat:
    """The partitions in a ``slapos.put.v0.compute_node_format`` message."""
    return objects.NodeFormat(
        partitions=tuple(
            objects.Partition(
                reference=partition["partition_id"],
                addresses=tuple(
                    objects.Address(address.get("network-interface", ""), address["ip-address"])
                    for address in partition.get("ip_list", ())
                ),
                capabilities=tuple(partition.get("capability_list", ())),
            )
            for partition in message["compute_partition_list"]
        )
    )


def acknowledgement(title: str) -> dict[str, Any]:
    """``{"type": "success", "title": …}``."""
    return {"type": "success", "title": title}
