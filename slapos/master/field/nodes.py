"""XML endpoints of nodes (spec/01 §3.1, §3.4)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from slapos.master.authorization import Action
from slapos.master.calls import Call
from slapos.master.endpoints import field_nodes
from slapos.master.field.caller import Acting, Place
from slapos.master.field.identification import named_guid
from slapos.master.field.routes import NODE, PARTITION, Field, FieldAnswer, FieldRoute, Marshalled, Plain
from slapos.master.services import access, joining, nodes, shown, usage
from slapos.model.errors import InputError
from slapos.wire import field_documents, safe_xml

_NODE = (Field(NODE),)


def full_information(call: Call) -> FieldAnswer:
    """The node, its releases and all its partitions."""
    node = call.text(NODE)
    number = access.find_node_number(call.tx, call.principal, node, Action.NODE_STATE)
    memory = call.tools.partitions
    partitions = [memory.written(node, each) for each in shown.shown_partitions(call.tx, number)]
    return Marshalled(field_documents.computer(node, partitions, shown.shown_supplies(call.tx, number)))


def load_configuration(call: Call) -> FieldAnswer:
    """The node's format; partitions that it does not list any more go."""
    node_format = field_documents.node_format(call.message["xml"])
    nodes.format_node(call.tx, call.principal, call.text(NODE), node_format, call.now)
    return Plain("Content properly posted.")


def bang(call: Call) -> FieldAnswer:
    """Everything that lives on it is processed again."""
    nodes.bang_node(call.tx, call.principal, call.text(NODE), call.text("message"), call.now)
    return Plain("OK")


def use(call: Call) -> FieldAnswer:
    """A usage document; the same one again is kept once."""
    document = call.text("use_string")
    safe_xml.parse(document.encode("utf-8"), field="use_string")
    identifier = hashlib.sha256(document.encode()).hexdigest()
    usage.deliver(call.tx, call.principal, call.text(NODE), identifier, document, call.now)
    return Plain("OK")


def request_computer(call: Call) -> FieldAnswer:
    """A node with that title: the one that exists, or a new one."""
    title, project = call.text("computer_title"), call.text("project_reference")
    return Marshalled(
        field_documents.bare_computer(joining.request_node(call.tx, call.principal, title, project, call.now))
    )


def generate_certificate(call: Call) -> FieldAnswer:
    """What the JSON dialect answers."""
    return Marshalled(field_nodes.post_certificate(_as_json(call, computer_guid=call.text(NODE))).body)


def revoke_certificate(call: Call) -> FieldAnswer:
    """Every certificate of the node."""
    field_nodes.remove_certificate(_as_json(call, computer_guid=call.text(NODE)))
    return Plain("")


def partition_certificate(call: Call) -> FieldAnswer:
    """What the JSON dialect answers for the instance that lives there."""
    guid = named_guid(call.tx, call.principal, call.text(NODE), call.text(PARTITION))
    return Marshalled(field_nodes.get_instance_certificate(_as_json(call, instance_guid=guid)).body)


def _as_json(call: Call, **message: str) -> Call:
    return replace(call, message=message)


def _named_in_document(message: Mapping[str, Any]) -> Place:
    reference = message["xml"].get("reference")
    if not isinstance(reference, str) or not reference:
        raise InputError(
            "xml.reference: missing; the name of the node is expected.",
            reference="invalid-message",
            context={"field": "xml.reference"},
        )
    return Place(reference)


NODES = {
    "getFullComputerInformation": FieldRoute(full_information, "GET", _NODE, acts=Acting.NODE, brief=True),
    "getComputerInformation": FieldRoute(full_information, "GET", _NODE, acts=Acting.NODE, brief=True),
    "loadComputerConfigurationFromXML": FieldRoute(
        load_configuration,
        "POST",
        (Field("xml", kind=dict),),
        acts=Acting.NODE,
        where=_named_in_document,
        enrols=True,
    ),
    "computerBang": FieldRoute(bang, "POST", (*_NODE, Field("message", free=True)), acts=Acting.NODE),
    "useComputer": FieldRoute(use, "POST", (*_NODE, Field("use_string")), acts=Acting.NODE),
    "requestComputer": FieldRoute(
        request_computer, "POST", (Field("computer_title"), Field("project_reference", required=False))
    ),
    "generateComputerCertificate": FieldRoute(generate_certificate, "POST", _NODE),
    "revokeComputerCertificate": FieldRoute(revoke_certificate, "POST", _NODE, fences=True),
    "getComputerPartitionCertificate": FieldRoute(
        partition_certificate, "GET", (*_NODE, Field(PARTITION)), acts=Acting.NODE, issues=True
    ),
}
