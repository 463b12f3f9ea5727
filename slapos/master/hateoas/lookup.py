"""What searches find and where paths lead, each as far as the one who asks may see it."""

from __future__ import annotations

from dataclasses import replace

from slapos.master.field.caller import LEGACY_PERSON
from slapos.master.field.identification import legacy_node
from slapos.master.hateoas import documents
from slapos.master.hateoas.documents import Document, Row
from slapos.master.hateoas.queries import Kind, Query
from slapos.master.services import access, instances, nodes, supplies
from slapos.master.storage.identities import node_number
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import NotFound
from slapos.model.objects import Instance, NodeView, Supply
from slapos.model.principal import Principal
from slapos.model.states import PrincipalKind

_PERSONS = (PrincipalKind.USER, PrincipalKind.OPERATOR)


def search(tx: Transaction, principal: Principal, query: Query, now: float) -> list[Row]:
    """The rows, with all their columns, in a stable order."""
    if query.kind is Kind.TREES:
        return [documents.tree_row(each) for each in _trees(tx, principal, query)]
    if query.kind is Kind.NODES:
        return [documents.node_row(each) for each in _nodes(tx, principal, query, now)]
    if query.kind is Kind.SUPPLIES:
        return [documents.supply_row(each) for each in _supplies(tx, principal, query.owner, now)]
    roots = _trees(tx, principal, Query(Kind.TREES, title=query.owner))
    return [documents.instance_row(each) for root in roots for each in instances.tree(tx, principal, root.guid)]


def traverse(tx: Transaction, principal: Principal, relative_url: str, now: float) -> Document:
    """The object at ``relative_url``; :class:`NotFound` for one that is not there, or not for this principal."""
    module, _, name = relative_url.partition("/")
    if module == documents.TREES:
        return _tree(tx, principal, name)
    if module == documents.INSTANCES:
        return documents.instance_document(instances.find_instance(tx, principal, name))
    if module == documents.NODES:
        name = legacy_node(tx, name) if principal == LEGACY_PERSON else name
        node = nodes.find_node(tx, principal, name, now)
        return documents.node_document(node, instances.list_node_instances(tx, principal, name), now)
    if module == documents.SUPPLIES:
        return _supply(tx, principal, name, relative_url)
    if module == documents.PERSONS and principal.kind in _PERSONS and name == principal.reference:
        return documents.person_document(principal)
    raise _nothing_at(relative_url)


def _trees(tx: Transaction, principal: Principal, query: Query) -> list[Instance]:
    """Of several projects that have a tree with one title, the oldest: clients stumble over two."""
    if principal.kind not in _PERSONS:
        return []
    if query.title is None:
        return [each for each in instances.list_roots(tx, principal) if query.reference in (None, each.guid)]
    try:
        only = instances.find_instance_by_title(tx, principal, query.title)
    except NotFound:
        return []
    return [only] if query.reference in (None, only.guid) else []


def _nodes(tx: Transaction, principal: Principal, query: Query, now: float) -> list[NodeView]:
    """A node of the legacy listener is also found by the name that it gave itself, and answers to it."""
    wanted = query.reference
    if wanted is None:
        return [each for each in nodes.list_nodes(tx, principal, now) if query.title in (None, each.name)]
    try:
        if node_number(wanted) is None and principal == LEGACY_PERSON:
            return [replace(nodes.find_node(tx, principal, legacy_node(tx, wanted), now), reference=wanted)]
        return [nodes.find_node(tx, principal, wanted, now)]
    except NotFound:
        return []


def _supplies(tx: Transaction, principal: Principal, node: str | None, now: float) -> list[Supply]:
    held = _nodes(tx, principal, Query(Kind.NODES, reference=node), now)
    known = [legacy_node(tx, each.reference) if principal == LEGACY_PERSON else each.reference for each in held]
    return [supply for each in known for supply in supplies.list_supplies(tx, principal, each)]


def _tree(tx: Transaction, principal: Principal, guid: str) -> Document:
    root = instances.find_instance(tx, principal, guid)
    if root.root_guid != root.guid:
        raise access.no_instance(guid)
    return documents.tree_document(root, instances.tree(tx, principal, guid))


def _supply(tx: Transaction, principal: Principal, name: str, relative_url: str) -> Document:
    for supply in supplies.list_supplies(tx, principal, name.rpartition("-")[0]):
        if documents.supply_name(supply) == name:
            return documents.supply_document(supply)
    raise _nothing_at(relative_url)


def _nothing_at(relative_url: str) -> NotFound:
    return NotFound(
        f"There is nothing at {relative_url[:200]!r}.",
        reference="no-such-document",
        context={"relative_url": relative_url[:200]},
        hint="Take relative_url from a search.",
    )
