"""Nodes that join without a token: a title is enough for who may make nodes in a project."""

from __future__ import annotations

from sqlalchemy import insert, select

from slapos.master.authorization import Action, Subject, check
from slapos.master.services import access, history, identities
from slapos.master.storage import tables
from slapos.master.storage.identities import node_number, node_reference
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import InputError
from slapos.model.principal import Principal
from slapos.model.text import check_title, is_file_name


def request_node(tx: Transaction, principal: Principal, title: str, project: str, now: float) -> str:
    """``COMP-<n>`` of the node with that title in the project: the one that exists, or a new one."""
    check_title("computer_title", title)
    wanted = access.wanted_project(principal, project)
    check(principal, Action.NODE_CREATE, Subject(project=wanted))
    nodes = tables.nodes
    same = select(nodes.c.number).where(nodes.c.project == wanted, nodes.c.name == title).order_by(nodes.c.number)
    found = tx.execute(same.limit(1)).scalar_one_or_none()
    if found is not None:
        return node_reference(found)
    identities.ensure_project(tx, wanted, now)
    values = {"project": wanted, "name": title, "created": int(now)}
    number = tx.execute(insert(nodes).values(**values).returning(nodes.c.number)).scalar_one()
    tx.node_changed(number, reset=True)
    about = (wanted, node_reference(number))
    history.record(tx, about, "requested", f"A node {title!r} was made.", by=history.actor(principal), now=now)
    return node_reference(number)


def check_own_name(name: str) -> str:
    """The name that a legacy node gives itself: no path, and not one that we give."""
    if is_file_name(name) and node_number(name) is None:
        return name
    raise InputError(
        f"{name[:100]!r} is no name that a node can give itself.",
        reference="invalid-node-name",
        context={"field": "computer_id", "value": name[:100]},
        hint="Use letters, digits, dot, dash and underscore; COMP-<n> are names that the master gives.",
    )
