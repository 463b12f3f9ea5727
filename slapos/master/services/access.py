"""Finding what a principal names, with its rights checked."""

from __future__ import annotations

from sqlalchemy import Select, bindparam, select

from slapos.master.authorization import Action, Subject, check, refusal
from slapos.master.services.records import Row, instance_row
from slapos.master.storage import tables
from slapos.master.storage.identities import instance_number, node_number, node_reference
from slapos.master.storage.prepared import prepared
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import InputError, NotFound, Refused
from slapos.model.objects import DEFAULT_PROJECT
from slapos.model.principal import Principal
from slapos.model.states import PrincipalKind, Role


def no_instance(name: str) -> NotFound:
    return NotFound(
        f"There is no instance {name}.",
        reference="no-such-instance",
        context={"instance": name},
        hint="List yours with `slapos service list`.",
    )


def no_node(reference: str) -> NotFound:
    return NotFound(
        f"There is no node {reference}.",
        reference="no-such-node",
        context={"node": reference},
        hint="List the nodes with `slapos computer list`.",
    )


def subject_of(tx: Transaction, principal: Principal, row: Row) -> Subject:
    """What the table of rights must know of an instance, as this principal stands to it."""
    node = node_reference(row["node"]) if row["node"] is not None else ""
    guid = f"SOFTINST-{row['number']}"
    if principal.kind is not PrincipalKind.INSTANCE:
        return Subject(project=row["project"], instance=guid, node=node)
    asking = _living(row, principal) if guid == principal.reference else asking_instance(tx, principal)
    return Subject(
        project=row["project"],
        instance=guid,
        node=node,
        same_tree=row["tree"] == asking["tree"],
        hosted=row["shared"] and row["host"] == asking["number"],
        requested=row["requester"] == asking["number"],
    )


def asking_instance(tx: Transaction, principal: Principal) -> Row:
    """The row of an instance that asks; raises :class:`Refused` once it is gone."""
    return _living(instance_row(tx, instance_number(principal.reference)), principal)


def _living(row: Row | None, principal: Principal) -> Row:
    if row is None or row["gone"] is not None:
        raise Refused(
            f"{principal.reference} exists no longer.",
            reference="instance-gone",
            context={"principal": principal.reference},
            hint="Its certificate is of no use any more.",
        )
    return row


def find_row(tx: Transaction, principal: Principal, guid: str, action: Action = Action.INSTANCE_READ) -> Row:
    """The instance, gone or not; a person who may not even see it learns nothing of it."""
    row = instance_row(tx, instance_number(guid))
    if row is None:
        raise no_instance(guid)
    check_row(tx, principal, row, action)
    return row


def check_row(tx: Transaction, principal: Principal, row: Row, action: Action) -> None:
    """Rights on an instance; a person who may not even see it learns nothing of it."""
    subject = subject_of(tx, principal, row)
    if principal.kind is PrincipalKind.USER and refusal(principal, Action.INSTANCE_READ, subject):
        raise no_instance(subject.instance)
    check(principal, action, subject)


def find_node_number(tx: Transaction, principal: Principal, reference: str, action: Action) -> int:
    """The node's number; a person who may not even see it learns nothing of it."""
    number = node_number(reference)
    project = _project_of_node.value(tx, of_number=number) if number is not None else None
    if number is None or project is None:
        raise no_node(reference)
    subject = Subject(project=project, node=reference)
    if principal.kind is PrincipalKind.USER and refusal(principal, Action.NODE_READ, subject):
        raise no_node(reference)
    check(principal, action, subject)
    return number


def project_of_node(tx: Transaction, number: int) -> str:
    return str(_project_of_node.value(tx, of_number=number))


@prepared
def _project_of_node() -> Select[tuple[str]]:
    nodes = tables.nodes
    return select(nodes.c.project).where(nodes.c.number == bindparam("of_number"))


def check_subject(tx: Transaction, principal: Principal, subject: str) -> None:
    """Of a history: an instance, a node, or ``<node> <release>``."""
    first = subject.split(" ", 1)[0]
    if instance_number(first) is not None:
        find_row(tx, principal, first)
    elif node_number(first) is not None:
        find_node_number(tx, principal, first, Action.NODE_READ)
    else:
        raise InputError(
            f"subject: {subject!r} names neither an instance nor a node.",
            reference="invalid-subject",
            context={"field": "subject", "value": subject},
            hint="Use SOFTINST-<n>, COMP-<n> or `COMP-<n> <release>`.",
        )


def wanted_project(principal: Principal, named: str) -> str:
    """The project of a new root: the one named, or the only one where this person may order."""
    if named:
        return named
    if principal.kind is PrincipalKind.OPERATOR:
        return DEFAULT_PROJECT
    usable = sorted(name for name, role in principal.projects.items() if role in (Role.OWNER, Role.MEMBER))
    if len(usable) == 1 or not principal.projects:
        return usable[0] if usable else DEFAULT_PROJECT
    if DEFAULT_PROJECT in usable or not usable:
        return DEFAULT_PROJECT if DEFAULT_PROJECT in usable else sorted(principal.projects)[0]
    raise InputError(
        f"sla.project_guid: you order in several projects ({', '.join(usable)}); say in which.",
        reference="project-needed",
        context={"field": "sla.project_guid", "projects": usable},
        hint="Add --sla project_guid=<project>.",
    )


def visible_projects(tx: Transaction, principal: Principal) -> list[str]:
    """Those whose instances and nodes a person may see; all of them for the operator."""
    if principal.kind is PrincipalKind.OPERATOR:
        return list(tx.execute(select(tables.projects.c.reference)).scalars())
    return sorted(
        name for name in principal.projects if refusal(principal, Action.PROJECT_READ, Subject(project=name)) is None
    )


def parse_node(reference: str) -> int:
    """Raises :class:`NotFound` when the text cannot name a node."""
    number = node_number(reference)
    if number is None:
        raise no_node(reference)
    return number
