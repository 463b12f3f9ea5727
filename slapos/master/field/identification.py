"""From a caller to a principal, in the transaction of what he asks for."""

from __future__ import annotations

from sqlalchemy import Select, bindparam, select

from slapos.master.authorization import Action
from slapos.master.field.caller import LEGACY_PERSON, LEGACY_PROJECT, Acting, Asking, Place
from slapos.master.services import access
from slapos.master.services.records import Row, instance_row
from slapos.master.storage import tables
from slapos.master.storage.identities import instance_guid, instance_number, node_number, node_reference
from slapos.master.storage.prepared import prepared
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import InputError, NotFound, Refused
from slapos.model.principal import Principal
from slapos.model.states import PrincipalKind


def proven(tx: Transaction, principal: Principal, asking: Asking) -> Principal:
    """Who acts, given whose certificate it is.

    A node acts as the instance of its own partition where an endpoint is the partition's: it can have that
    instance's certificate anyway.  A claim that contradicts the certificate is refused.
    """
    claim = asking.caller.claim
    if claim is not None:
        _check_claim(tx, principal, claim)
    if asking.acting is not Acting.PARTITION or principal.kind is not PrincipalKind.NODE:
        return principal
    node, partition = claim or (asking.place.node, asking.place.partition)
    if node != principal.reference or not partition:
        return principal
    return Principal(PrincipalKind.INSTANCE, living_guid(tx, node, partition))


def believed(tx: Transaction, asking: Asking) -> Principal:
    """Who acts on the legacy listener: who he says."""
    claim, place = asking.caller.claim, asking.place
    if asking.acting is Acting.NODE:
        return Principal(PrincipalKind.NODE, _legacy_node_of(tx, place))
    if asking.acting is Acting.PARTITION and claim is not None:
        return _claimed(tx, claim)
    if asking.acting is Acting.PARTITION and place.partition:
        return _legacy_instance(tx, legacy_node(tx, place.node), place.partition)
    if asking.acting is Acting.PARTITION and place.guid:
        _legacy_row(tx, place.guid)
        return Principal(PrincipalKind.INSTANCE, place.guid)
    return LEGACY_PERSON


def legacy_node(tx: Transaction, name: str) -> str:
    """``COMP-<n>`` of a node of the legacy project, named so or by the name that it gave itself.

    :raises NotFound: ``no-such-node``.
    """
    number = node_number(name)
    if number is not None:
        first = _legacy_number.value(tx, of_number=number)
    else:
        first = _legacy_name.value(tx, of_name=name) if name else None
    if first is None:
        raise access.no_node(name)
    return node_reference(first)


@prepared
def _legacy_number() -> Select[tuple[int]]:
    nodes = tables.nodes
    return select(nodes.c.number).where(nodes.c.project == LEGACY_PROJECT, nodes.c.number == bindparam("of_number"))


@prepared
def _legacy_name() -> Select[tuple[int]]:
    nodes = tables.nodes
    named = select(nodes.c.number).where(nodes.c.project == LEGACY_PROJECT, nodes.c.name == bindparam("of_name"))
    return named.order_by(nodes.c.number).limit(1)


def living_guid(tx: Transaction, node: str, partition: str) -> str:
    """The instance in a partition.  No rights are checked.

    :raises NotFound: ``partition-free`` when it is free or unknown, ``no-such-node``.
    """
    number = access.parse_node(node)
    instance = _living.value(tx, of_node=number, of_reference=partition)
    if instance is None:
        raise NotFound(
            f"No instance lives in {partition} of {node}.",
            reference="partition-free",
            context={"node": node, "partition": partition},
            hint="See what the node holds with `slapos computer info`.",
        )
    return instance_guid(instance)


def named_guid(tx: Transaction, principal: Principal, node: str, partition: str) -> str:
    """The same for who asks; a person who may not even see the node learns nothing of it."""
    if principal.kind is PrincipalKind.USER:
        access.find_node_number(tx, principal, node, Action.NODE_READ)
    return living_guid(tx, node, partition)


@prepared
def _living() -> Select[tuple[int]]:
    place = tables.partitions
    here = (place.c.node == bindparam("of_node"), place.c.reference == bindparam("of_reference"))
    return select(place.c.instance).where(*here)


def _claimed(tx: Transaction, claim: tuple[str, str]) -> Principal:
    """400 for a claim that names nothing, as slapproxy answers (spec/01 §2)."""
    try:
        return _legacy_instance(tx, legacy_node(tx, claim[0]), claim[1])
    except NotFound as error:
        raise InputError(
            f"Authorization: {error.message}", reference="unknown-claim", context={"field": "Authorization"}
        ) from error


def _legacy_instance(tx: Transaction, node: str, partition: str) -> Principal:
    return Principal(PrincipalKind.INSTANCE, living_guid(tx, node, partition))


def _legacy_node_of(tx: Transaction, place: Place) -> str:
    if place.node or not place.guid:
        return legacy_node(tx, place.node)
    node = _legacy_row(tx, place.guid)["node"]
    if node is None:
        raise access.no_instance(place.guid)
    return node_reference(node)


def _legacy_row(tx: Transaction, guid: str) -> Row:
    row = instance_row(tx, instance_number(guid))
    if row is None or row["project"] != LEGACY_PROJECT or row["gone"] is not None:
        raise access.no_instance(guid)
    return row


def _check_claim(tx: Transaction, principal: Principal, claim: tuple[str, str]) -> None:
    if principal.kind is PrincipalKind.NODE:
        agrees = claim[0] == principal.reference
    elif principal.kind is PrincipalKind.INSTANCE:
        agrees = _lives_at(tx, principal.reference, claim)
    else:
        return  # what a person may do for an instance, the table of rights says
    if not agrees:
        raise Refused(
            f"Authorization: {claim[1]} of {claim[0]} is not where {principal.reference} lives.",
            reference="claim-refused",
            context={"field": "Authorization", "principal": principal.reference},
            hint="Use the certificate of that partition's instance.",
        )


def _lives_at(tx: Transaction, guid: str, claim: tuple[str, str]) -> bool:
    number = node_number(claim[0])
    if number is None:
        return False
    instance = _living.value(tx, of_node=number, of_reference=claim[1])
    return instance is not None and instance_guid(instance) == guid
