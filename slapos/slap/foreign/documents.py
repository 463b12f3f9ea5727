"""What a master that speaks XML says, as objects of the model; and what it must be told.  Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from slapos.model.errors import Unavailable
from slapos.model.objects import (
    DEFAULT_PROJECT,
    DEFAULT_SOFTWARE_TYPE,
    Address,
    Instance,
    InstanceRequest,
    NodeFormat,
    NodeState,
    SharedInstance,
    Supply,
)
from slapos.model.states import Health, InstanceState, SupplyState
from slapos.model.text import is_file_name
from slapos.wire import codec, marshal, parameter_document
from slapos.wire.marshal import FieldObject

#: Keys of ``_parameter_dict`` that are the master's, not the requester's (spec/01 §3.2).
RESERVED = frozenset(
    {
        "ip_list",
        "full_ip_list",
        "full_address_list",
        "slap_software_type",
        "instance_title",
        "root_instance_title",
        "root_instance_short_title",
        "slap_computer_id",
        "slap_computer_partition_id",
        "slap_software_release_url",
        "slave_instance_list",
        "timestamp",
    }
)
_OF_SHARED = frozenset({"slave_title", "slave_reference", "slap_software_type", "timestamp"})
_HEALTHS = {"#access": Health.OK, "#error": Health.ERROR, "#building": Health.WORKING}
_TIMESTAMP_DIGITS = 24
SILENT = "its master does not say how it is"


def node_state(computer: Any, node: str) -> NodeState:
    """All that the master wants of a node.  The generation is a digest: it changes when anything does."""
    state = _state(computer, "Computer")
    supplies = [_supply(item, node) for item in _objects(state.get("_software_release_list"), "SoftwareRelease")]
    partitions: dict[str, Instance | None] = {}
    for item in _objects(state.get("_computer_partition_list"), "ComputerPartition"):
        partitions[_partition_name(item)] = instance(item, node)
    found = NodeState(0, True, tuple(supplies), partitions)
    text = json.dumps(codec.node_state_to_data(found), sort_keys=True)
    generation = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:6], "big")
    return NodeState(generation, True, found.supplies, found.partitions)


def instance(partition: Any, node: str) -> Instance | None:
    """The instance of a ``ComputerPartition``; None when it is free."""
    state = _state(partition, "ComputerPartition")
    release = state.get("_software_release_document")
    if release is None:
        return None
    name = _partition_name(partition)
    parameters = _mapping(state.get("_parameter_dict"))
    title = str(parameters.get("instance_title") or name)
    wanted = _wanted(state.get("_requested_state"))
    health, sentence = _health(state.get("_access_status"), wanted, _connection(state))
    return Instance(
        guid=_guid(str(state.get("_instance_guid") or f"{node}-{name}")),
        title=title,
        root_guid=str(parameters.get("root_instance_short_title") or ""),
        root_title=str(parameters.get("root_instance_title") or title),
        project=DEFAULT_PROJECT,
        release=_release_url(release),
        software_type=str(parameters.get("slap_software_type") or DEFAULT_SOFTWARE_TYPE),
        state=wanted,
        parameters=texts({key: value for key, value in parameters.items() if key not in RESERVED}),
        sla=texts(_mapping(state.get("_filter_dict"))),
        connection=_connection(state),
        node=node,
        partition=name,
        addresses=_addresses(parameters.get("ip_list")),
        shared_instances=_shared(parameters.get("slave_instance_list")),
        timestamp=timestamp(parameters.get("timestamp")),
        health=health,
        sentence=sentence,
    )


def answered(answer: Any, request: InstanceRequest) -> Instance:
    """The instance that a request was answered with; for a forwarded one a ``ComputerPartition`` comes."""
    if not isinstance(answer, FieldObject) or answer.kind not in ("SoftwareInstance", "ComputerPartition"):
        raise _unusable("the answer to a request is no instance")
    state = dict(answer.state)
    if answer.kind == "ComputerPartition":
        state.setdefault("slap_computer_id", state.get("_computer_id") or answer.arguments[0])
        state.setdefault("slap_computer_partition_id", state.get("_partition_id") or answer.arguments[1])
    node, partition = str(state.get("slap_computer_id") or ""), str(state.get("slap_computer_partition_id") or "")
    wanted = InstanceState(request.state or InstanceState.STARTED)
    if not request.shared and state.get("_requested_state"):
        wanted = _wanted(state["_requested_state"])
    connection = _connection(state)
    health, sentence = _health(state.get("_access_status"), wanted, connection)
    return Instance(
        guid=str(state.get("_instance_guid") or _made_guid(node, partition, request)),
        title=request.title,
        root_guid="",
        root_title="",
        project=DEFAULT_PROJECT,
        release=request.release,
        software_type=request.software_type,
        state=wanted,
        parameters=dict(request.parameters),
        sla=dict(request.sla),
        connection=connection,
        shared=request.shared,
        node=node,
        partition=partition,
        addresses=_addresses(state.get("ip_list")),
        timestamp=timestamp(state.get("timestamp")),
        health=health,
        sentence=sentence,
    )


def root(fields: Mapping[str, Any], title: str) -> Instance:
    """A root instance, from the fields of its HATEOAS document (spec/03 §3)."""
    parameters = texts(parameter_document.loads(_text(fields.get("text_content"))))
    listed = fields.get("connection_parameter_list")
    if isinstance(listed, list):
        pairs = [_mapping(item) for item in listed]
        connection = texts({str(pair.get("connection_key")): pair.get("connection_value") for pair in pairs})
    else:
        connection = texts(parameter_document.loads(_text(listed)))
    wanted = _wanted(fields.get("slap_state"))
    health, sentence = _health(_news(fields.get("news")), wanted, connection)
    return Instance(
        guid=_text(fields.get("reference")) or title,
        title=title,
        root_guid="",
        root_title=title,
        project=DEFAULT_PROJECT,
        release=_text(fields.get("url_string")),
        software_type=_text(fields.get("source_reference")) or DEFAULT_SOFTWARE_TYPE,
        state=wanted,
        parameters=parameters,
        sla={},
        connection=connection,
        shared=bool(fields.get("root_slave")),
        health=health,
        sentence=sentence,
    )


def pending(request: InstanceRequest, reason: str) -> Instance:
    """An order that has no place yet."""
    return Instance(
        guid="",
        title=request.title,
        root_guid="",
        root_title="",
        project=DEFAULT_PROJECT,
        release=request.release,
        software_type=request.software_type,
        state=InstanceState(request.state or InstanceState.STARTED),
        parameters=dict(request.parameters),
        sla=dict(request.sla),
        connection={},
        shared=request.shared,
        sentence=reason,
        reasons=(reason,),
    )


def request_fields(request: InstanceRequest) -> dict[str, str | None]:
    """The form of ``requestComputerPartition``, every field of it (trap 24)."""
    return {
        "software_release": request.release,
        "software_type": request.software_type,
        "partition_reference": request.title,
        "partition_parameter_xml": marshalled(dict(request.parameters)),
        "filter_xml": marshalled(dict(request.sla)),
        "state": marshalled(None if request.state is None else str(request.state)),
        "shared_xml": marshalled(request.shared),
    }


def description(node: str, node_format: NodeFormat, address: str) -> str:
    """The document of ``loadComputerConfigurationFromXML`` (spec/05 §1.4)."""
    details = node_format.details
    return marshalled(
        {
            "reference": node,
            "address": address,
            "netmask": _netmask(address),
            "os_type": str(details.get("os_type", "")),
            "python_version": str(details.get("python_version", "")),
            "slapos_version": str(details.get("version", "")),
            "partition_list": [
                {
                    "reference": partition.reference,
                    "address_list": [{"addr": item.ip, "netmask": _netmask(item.ip)} for item in partition.addresses],
                    "tap": {"name": partition.addresses[0].interface if partition.addresses else ""},
                    "capability_list": list(partition.capabilities),
                }
                for partition in node_format.partitions
            ],
        }
    )


def marshalled(value: Any) -> str:
    """As it travels in a form."""
    return marshal.dumps(value).decode("ascii")


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Flat texts: an empty one comes back as none (trap 15), an existing master may send numbers."""
    return {str(key): "" if value is None else str(value) for key, value in values.items()}


def timestamp(value: Any) -> int:
    """An integer that differs when the text does: seconds with a fraction become microseconds (trap 10)."""
    text = str(value if value is not None else "").strip()
    try:
        number = Decimal(text or "0")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number.adjusted() > _TIMESTAMP_DIGITS:
        return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:6], "big")
    return int(number) if number == number.to_integral_value() else int(number * 1_000_000)


def _health(access: Any, wanted: InstanceState, connection: Mapping[str, str]) -> tuple[Health, str]:
    """What the master says of it; where it says nothing, that is said."""
    said = str(access or "")
    word = said.partition(" ")[0]
    if wanted is InstanceState.STOPPED:
        return Health.STOPPED, "wanted stopped"
    if wanted is InstanceState.DESTROYED:
        return Health.DESTROYED, "wanted destroyed"
    if word in _HEALTHS:
        return _HEALTHS[word], said.removeprefix(word).strip()
    return (Health.OK, "it published") if connection else (Health.WORKING, f"nothing is published; {SILENT}")


def _news(news: Any) -> str:
    """The worst of what the master heard of the instances of a tree."""
    items = _mapping(news).get("instance")
    said = [_text(_mapping(item).get("text")) for item in items] if isinstance(items, list) else []
    return min(said, key=lambda text: not text.startswith("#error"), default="")


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _connection(state: Mapping[str, Any]) -> dict[str, str]:
    known = state.get("_connection_dict")
    if known is None and isinstance(state.get("connection_xml"), str):
        known = parameter_document.loads(state["connection_xml"])
    return texts(_mapping(known))


def _supply(release: FieldObject, node: str) -> Supply:
    wanted = str(release.state.get("_requested_state") or SupplyState.AVAILABLE)
    return Supply(
        release=_release_url(release),
        node=node,
        state=SupplyState.DESTROYED if wanted == SupplyState.DESTROYED else SupplyState.AVAILABLE,
    )


def _shared(items: Any) -> tuple[SharedInstance, ...]:
    found = []
    for item in items if isinstance(items, list) else ():
        values = _mapping(item)
        reference = str(values.get("slave_reference") or values.get("slave_title") or "")
        found.append(
            SharedInstance(
                guid=reference,
                title=str(values.get("slave_title") or reference),
                software_type=str(values.get("slap_software_type") or DEFAULT_SOFTWARE_TYPE),
                parameters=texts({key: value for key, value in values.items() if key not in _OF_SHARED}),
                timestamp=timestamp(values.get("timestamp")),
            )
        )
    return tuple(found)


def _addresses(pairs: Any) -> tuple[Address, ...]:
    found = pairs if isinstance(pairs, list | tuple) else ()
    return tuple(
        Address(str(pair[0]), str(pair[1])) for pair in found if isinstance(pair, list | tuple) and len(pair) > 1
    )


def _guid(text: str) -> str:
    """A name for files of the node: what is none is replaced, the same by the same."""
    return text if is_file_name(text) else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _made_guid(node: str, partition: str, request: InstanceRequest) -> str:
    """Where the master gives none: as a slapproxy makes them; shared ones have nothing but their title."""
    return "-".join(part for part in (node, partition, request.title if request.shared else "") if part)


def _wanted(value: Any) -> InstanceState:
    """A state that nobody knows is no reason to touch an instance: the safe one is what it is, running."""
    return InstanceState(value) if value in set(InstanceState) else InstanceState.STARTED


def _release_url(release: Any) -> str:
    state = _state(release, "SoftwareRelease")
    url = state.get("_software_release") or (release.arguments[0] if release.arguments else "")
    if not isinstance(url, str) or not url:
        raise _unusable("a release has no URL")
    return url


def _partition_name(partition: FieldObject) -> str:
    name = partition.state.get("_partition_id") or (partition.arguments[1] if len(partition.arguments) > 1 else "")
    if not isinstance(name, str) or not is_file_name(name):  # it becomes a path, and the node may be root
        raise _unusable(f"{str(name)[:100]!r} is no identifier of a partition")
    return name


def _objects(values: Any, kind: str) -> Iterable[FieldObject]:
    found = values if isinstance(values, list | tuple) else []
    for item in found:
        _state(item, kind)
    return found


def _state(value: Any, kind: str) -> Mapping[str, Any]:
    if not isinstance(value, FieldObject) or value.kind != kind:
        raise _unusable(f"a {kind} was expected, not {type(value).__name__}")
    return value.state


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _netmask(address: str) -> str:
    return "255.255.255.255" if ":" not in address else "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"


def _unusable(reason: str) -> Unavailable:
    return Unavailable(
        f"The master answered something that the slap protocol does not have: {reason}.",
        reference="invalid-answer",
        context={"status": 200, "address": "", "body": "", "reason": reason},
        hint="Check master_url, and what stands between.",
    )
