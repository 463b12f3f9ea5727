"""``requestComputerPartition``: an order, or a change by ordering again (spec/01 §3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any

from slapos.master import ordering
from slapos.master.calls import Call, Preparation
from slapos.master.field.caller import Acting
from slapos.master.field.identification import named_guid
from slapos.master.field.routes import NODE, PARTITION, Field, FieldAnswer, FieldRoute, Marshalled, Plain
from slapos.master.ordering import PreparedOrder
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import InputError, Refused
from slapos.model.objects import InstanceRequest
from slapos.model.principal import Principal
from slapos.model.states import InstanceState, PrincipalKind
from slapos.wire import field_documents

NOT_READY = 408


def prepare_request(preparation: Preparation) -> PreparedOrder:
    """Errors refuse the order; warnings are kept in the history."""
    message = preparation.message
    requester = None
    if message[PARTITION]:
        requester = preparation.read(lambda tx, principal: requester_of(tx, principal, message))
    return ordering.prepare_order(preparation, order_of(message), requester)


def request_partition(call: Call) -> FieldAnswer:
    """408 while it has no place; nothing is ever allocated in order to be destroyed."""
    requester = requester_of(call.tx, call.principal, call.message)
    instance = ordering.place_order(call, order_of(call.message), requester)
    if not instance.node:
        return Plain("Software Instance Not Ready\n", NOT_READY)
    return Marshalled(field_documents.requested(instance, call.base))


def requester_of(tx: Transaction, principal: Principal, message: Mapping[str, Any]) -> str | None:
    """The guid of the instance in the partition that the form names; None for a person, and for who is it himself."""
    if not message[PARTITION]:
        return None
    guid = named_guid(tx, principal, message[NODE], message[PARTITION])
    if principal.kind is not PrincipalKind.INSTANCE:
        return guid
    if guid != principal.reference:
        raise Refused(
            f"{message[PARTITION]} of {message[NODE]} is not where {principal.reference} lives.",
            reference="claim-refused",
            context={"field": PARTITION, "principal": principal.reference},
            hint="Request for yourself.",
        )
    return None


def order_of(message: Mapping[str, Any]) -> InstanceRequest:
    """The order in the form; without a state, what exists keeps its own."""
    sla = field_documents.flat(message["filter_xml"] or {}, "filter_xml")
    if message["project_reference"]:
        sla.setdefault("project_guid", message["project_reference"])
    return InstanceRequest(
        title=message["partition_reference"],
        release=message["software_release"],
        software_type=field_documents.software_type(message["software_type"]),
        parameters=field_documents.flat(message["partition_parameter_xml"] or {}, "partition_parameter_xml"),
        sla=sla,
        state=_state(message["state"]),
        shared=bool(message["shared_xml"]),
    )


def _state(value: str | None) -> InstanceState | None:
    if not value:
        return None
    try:
        return InstanceState(value)
    except ValueError as error:
        raise InputError(
            f"state: {value[:100]!r} is not one of {', '.join(InstanceState)}.",
            reference="invalid-state",
            context={"field": "state", "value": value[:100]},
        ) from error


REQUEST = FieldRoute(
    request_partition,
    "POST",
    (
        Field(NODE, required=False),
        Field(PARTITION, required=False),
        Field("software_release"),
        Field("software_type", required=False),
        Field("partition_reference"),
        Field("partition_parameter_xml", required=False, kind=dict),
        Field("filter_xml", required=False, kind=dict),
        Field("state", required=False, kind=(str, NoneType)),
        Field("shared_xml", required=False, kind=bool),
        Field("project_reference", required=False),
    ),
    acts=Acting.PARTITION,
    repeated=True,
    prepare=prepare_request,
)
