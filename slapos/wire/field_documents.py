"""Objects of the field's XML (spec/01 §1.1, §3.2, §3.3) from objects of the model, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from slapos.model import objects
from slapos.model.errors import InputError
from slapos.model.states import InstanceState, SupplyState
from slapos.wire import parameter_document
from slapos.wire.field_codec import access_status, text_of
from slapos.wire.marshal import FieldObject, Written

OLD_DEFAULT_TYPE = "RootSoftwareInstance"


def computer(
    reference: str, partitions: Iterable[FieldObject | Written], supplies: Iterable[objects.Supply]
) -> FieldObject:
    """A node with its supplies and all its partitions, free ones included, in the node's own order."""
    return FieldObject(
        "Computer",
        (reference,),
        {
            "_computer_id": reference,
            "_computer_partition_list": list(partitions),
            "_software_release_list": [release(reference, each.release, each.state) for each in supplies],
        },
    )


def bare_computer(reference: str) -> FieldObject:
    """A node, only named."""
    return FieldObject("Computer", (reference,), {"_computer_id": reference})


def release(node: str, url: str, state: SupplyState = SupplyState.AVAILABLE) -> FieldObject:
    """A release on a node."""
    return FieldObject(
        "SoftwareRelease",
        (url, node),
        {
            "_software_release": url,
            "_computer_guid": node,
            "_software_instance_list": [],
            "_requested_state": state.value,
        },
    )


def partition(node: str, name: str, instance: objects.Instance | None) -> FieldObject:
    """A partition with what lives in it; None: it is free."""
    state: dict[str, Any] = {
        "_computer_id": node,
        "_partition_id": name,
        "_request_dict": None,
        "_requested_state": InstanceState.DESTROYED.value,
        "_need_modification": 0,
        "_software_release_document": None,
    }
    if instance is not None:
        state |= {
            "_requested_state": instance.state.value,
            "_need_modification": 1,
            "_software_release_document": release(node, instance.release),
            "_instance_guid": instance.guid,
            "_parameter_dict": parameters(instance),
            "_connection_dict": dict(instance.connection),
            "_filter_dict": dict(instance.sla),
            "_access_status": access_status(instance),
        }
    return FieldObject("ComputerPartition", (node, name, None), state)


def requested(instance: objects.Instance, server_url: str) -> FieldObject:
    """The answer to an order: with all that a client would otherwise ask for as the requested partition.

    What another master serves is a partition of that one.
    """
    own = parameters(instance)
    state = _requested_state(instance, own, server_url)
    if not instance.master:
        return FieldObject("SoftwareInstance", (), state)
    here = {"_computer_id": instance.node, "_partition_id": instance.partition, "_request_dict": None}
    arguments = (instance.node, instance.partition, None)
    return FieldObject("ComputerPartition", arguments, state | here | {"_master_url": instance.master})


def _requested_state(instance: objects.Instance, own: dict[str, Any], server_url: str) -> dict[str, Any]:
    return {
        "slap_computer_id": instance.node,
        "slap_computer_partition_id": instance.partition,
        "slap_software_type": instance.software_type,
        "slap_software_release_url": instance.release,
        "slap_server_url": server_url,
        "connection_xml": parameter_document.dumps(instance.connection),
        "instance_title": instance.title,
        "root_instance_title": instance.root_title,
        "root_instance_short_title": instance.root_guid,
        "ip_list": list(own["ip_list"]),
        "full_ip_list": [],
        "slave_instance_list": [dict(each) for each in own["slave_instance_list"]],
        "timestamp": own["timestamp"],
        "_parameter_dict": own,
        "_connection_dict": dict(instance.connection),
        "_filter_dict": dict(instance.sla),
        "_requested_state": instance.state.value,
        "_instance_guid": instance.guid,
        "_access_status": access_status(instance),
    }


def parameters(instance: objects.Instance) -> dict[str, Any]:
    """What the requester gave, and the reserved keys, which win."""
    return {
        **instance.parameters,
        "ip_list": ip_list(instance.addresses),
        "full_ip_list": [],
        "slap_software_type": instance.software_type,
        "instance_title": instance.title,
        "root_instance_title": instance.root_title,
        "root_instance_short_title": instance.root_guid,
        "slap_computer_id": instance.node,
        "slap_computer_partition_id": instance.partition,
        "slap_software_release_url": instance.release,
        "slave_instance_list": [
            _shared(each) for each in instance.shared_instances if each.state is InstanceState.STARTED
        ],
        "timestamp": str(instance.timestamp),
    }


def ip_list(addresses: Sequence[objects.Address]) -> list[tuple[str, str]]:
    """(interface, ip) of each address."""
    return [(address.interface, address.ip) for address in addresses]


def _shared(shared: objects.SharedInstance) -> dict[str, Any]:
    """One level: what it published never hides what its requester gave, and neither hides who it is."""
    return {
        **shared.connection,
        **shared.parameters,
        "slave_title": shared.title,
        "slave_reference": shared.guid,
        "slap_software_type": shared.software_type,
        "timestamp": shared.timestamp,
    }


def software_type(text: str) -> str:
    """The old name of the default type is a synonym of it."""
    return objects.DEFAULT_SOFTWARE_TYPE if text in ("", OLD_DEFAULT_TYPE) else text


def flat(values: Any, field: str) -> dict[str, str]:
    """Parameters as they are stored: text → text.  What is no text gets the text that the field's masters give it,
    lists and dictionaries become JSON, so that nothing is lost; :class:`InputError` for what has no key."""
    if not isinstance(values, Mapping):
        raise wrong_type(field, values, "a dictionary")
    bad = next((key for key in values if not isinstance(key, str)), None)
    if bad is not None:
        raise wrong_type(f"{field} (a key)", bad, "a text")
    return {key: _flat_text(value, f"{field}.{key}") for key, value in values.items()}


def _flat_text(value: Any, field: str) -> str:
    if not isinstance(value, None | str | bool | int | float | list | tuple | dict):
        raise wrong_type(field, value, "a text, number, list or dictionary")
    try:
        return text_of(value)
    except (TypeError, ValueError) as error:
        raise wrong_type(field, value, "made of texts, numbers, lists and dictionaries") from error


def wrong_type(field: str, value: Any, expected: str) -> InputError:
    """The error for a value of another type than ``expected``."""
    name = value.kind if isinstance(value, FieldObject) else type(value).__name__
    return InputError(
        f"{field}: {expected} is expected, not {name}.",
        reference="invalid-message",
        context={"field": field, "rule": "type"},
        hint="See docs/reference/xml-endpoints.",
    )


def node_format(value: Any, field: str = "xml") -> objects.NodeFormat:
    """The format in a ``loadComputerConfigurationFromXML`` document (spec/05 §1.4)."""
    document = _mapping(value, field)
    partitions = _list(document.get("partition_list"), f"{field}.partition_list")
    details = {
        name: document[key]
        for key, name in _DETAILS.items()
        if isinstance(document.get(key), str) and document.get(key)
    }
    return objects.NodeFormat(
        partitions=tuple(_partition(each, f"{field}.partition_list[{i}]") for i, each in enumerate(partitions)),
        network=_text(document, "network_guid", field),
        details=details,
    )


_DETAILS = {
    "address": "address",
    "netmask": "netmask",
    "os_type": "os",
    "python_version": "python",
    "slapos_version": "slapos",
    "public_ipv4_address": "public_ipv4",
}


def _partition(value: Any, field: str) -> objects.Partition:
    document = _mapping(value, field)
    reference = _text(document, "reference", field)
    tap = document.get("tap")
    interface = _text(_mapping(tap, f"{field}.tap"), "name", f"{field}.tap") if tap is not None else ""
    addresses = _list(document.get("address_list") or [], f"{field}.address_list")
    capabilities = _list(document.get("capability_list") or [], f"{field}.capability_list")
    if not all(isinstance(each, str) for each in capabilities):
        raise wrong_type(f"{field}.capability_list", capabilities, "a list of texts")
    return objects.Partition(
        reference=reference,
        addresses=tuple(
            objects.Address(interface or reference, _address(each, f"{field}.address_list[{i}]"))
            for i, each in enumerate(addresses)
        ),
        capabilities=tuple(capabilities),
    )


def _address(value: Any, field: str) -> str:
    address = _text(_mapping(value, field), "addr", field)
    if not address:
        raise wrong_type(f"{field}.addr", None, "an address")
    return address


def _mapping(value: Any, field: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise wrong_type(field, value, "a dictionary")
    return value


def _list(value: Any, field: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise wrong_type(field, value, "a list")
    return value


def _text(document: Mapping[str, Any], key: str, field: str) -> str:
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong_type(f"{field}.{key}", value, "a text")
    return value
