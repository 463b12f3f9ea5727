"""Ordering an instance, or changing one by ordering it again.

The same order twice changes nothing.  The key is the title: in the project for a root, in the tree for a child.  A
late order never revives: neither an instance being destroyed, nor anything in a destroyed tree.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Select, bindparam, select

from slapos.master.authorization import Action, Subject, check
from slapos.master.forwarding.objects import Elsewhere
from slapos.master.services import access, forwards, history
from slapos.master.services.changes import about, current, live_tree, lock_tree, touch, write
from slapos.master.services.creation import New, create, give_place, sla_columns
from slapos.master.services.records import Row, dump, instance_row, select_instances, to_instances, wanted_state
from slapos.master.services.trees import destroy, is_root
from slapos.master.storage import tables
from slapos.master.storage.identities import instance_guid
from slapos.master.storage.prepared import prepared
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import Conflict, InputError
from slapos.model.objects import Instance, InstanceRequest
from slapos.model.principal import Principal
from slapos.model.states import InstanceState, PrincipalKind
from slapos.model.text import check_text, check_texts, check_title

RELEASE_LIMIT = 2_000  # characters of a URL
TYPE_LIMIT = 200


def request_instance(
    tx: Transaction,
    principal: Principal,
    request: InstanceRequest,
    *,
    requester: str | None = None,
    elsewhere: Elsewhere | None = None,
    now: float,
) -> Instance:
    """The instance as it is wanted from now on; without ``node`` while it is pending, with the reasons.

    ``requester`` is the guid of the instance that asks (an instance always asks for itself); None: a person orders a
    root.  ``elsewhere``: another master has accepted it.  Raises :class:`InputError`, :class:`Refused`, and
    :class:`Conflict` when the order comes too late or contradicts what exists.
    """
    check_request(request)
    asking, found = find_standing(tx, principal, request, requester)
    by = history.actor(principal)
    if found is not None:
        if asking is not None:
            _adopt(tx, found, asking, by, now)
        _change(tx, found, request, by, now, elsewhere)
        return to_instances(tx, [current(tx, found)])[0]
    if request.state is InstanceState.DESTROYED:
        return to_instances(tx, [_last_gone(tx, principal, asking, request)])[0]
    # Of a root, the project was checked when the title was looked for.
    project = asking["project"] if asking is not None else _project_of(principal, request)
    return create(tx, New(request, project, asking, by, now), elsewhere)


def find_standing(
    tx: Transaction, principal: Principal, request: InstanceRequest, requester: str | None, *, lock: bool = True
) -> tuple[Row | None, Row | None]:
    """Who asks (None: a person orders a root) and the live instance that has the title; rights and state checked.

    ``lock``: nobody else changes their tree until the commit.
    """
    asking = _asking(tx, principal, requester, lock)
    found = _find_root(tx, principal, request, lock) if asking is None else _find_child(tx, asking, request)
    if found is not None:
        _check_fits(found, request)
    return asking, found


def check_request(request: InstanceRequest) -> None:
    """Raises :class:`InputError` with the field named."""
    check_title("title", request.title)
    for field, value, limit in (
        ("release", request.release, RELEASE_LIMIT),
        ("software_type", request.software_type, TYPE_LIMIT),
    ):
        check_text(field, value)
        if not 0 < len(value) <= limit or value != value.strip():
            raise InputError(
                f"{field}: 1 to {limit} characters without spaces at the ends are expected, not {value[:80]!r}.",
                reference="invalid-field",
                context={"field": field, "value": value[:limit]},
                hint="Correct the order and send it again.",
            )
    check_texts("parameters", request.parameters)
    check_texts("sla", request.sla)


def _asking(tx: Transaction, principal: Principal, requester: str | None, lock: bool) -> Row | None:
    """The row of the requesting instance, its tree locked; None for the order of a root."""
    if principal.kind is PrincipalKind.INSTANCE:
        requester = requester or principal.reference
    if not requester:
        return None
    row = access.find_row(tx, principal, requester, Action.INSTANCE_REQUEST_CHILD)
    if principal.kind is PrincipalKind.INSTANCE and requester != principal.reference:
        check(principal, Action.INSTANCE_REQUEST_CHILD, Subject(instance=requester))
    if lock and not _alone(tx):
        lock_tree(tx, row["tree"])
        row = instance_row(tx, row["number"]) or row
    if row["gone"] is not None or row["state"] == InstanceState.DESTROYED or _tree_destroyed(row):
        raise Conflict(
            f"{requester} is being destroyed, so it can request nothing any more.",
            reference="requester-destroyed",
            context={"requester": requester},
            hint="Nothing is to be done: the request comes too late.",
        )
    return row


def _tree_destroyed(row: Row) -> bool:
    return bool(row["root_state"] == InstanceState.DESTROYED.value)


def _find_root(tx: Transaction, principal: Principal, request: InstanceRequest, lock: bool) -> Row | None:
    project = _root_project(tx, principal, request)
    row = _live_root.row(tx, of_project=project, of_title=request.title)
    if row is None or not lock or _alone(tx):
        return row
    lock_tree(tx, row["number"])
    return instance_row(tx, row["number"])


def _alone(tx: Transaction) -> bool:
    """Whether nobody can change meanwhile what was read: SQLite has one writer, and a reading has its snapshot."""
    return tx.reading or tx.dialect.name == "sqlite"


def _root_project(tx: Transaction, principal: Principal, request: InstanceRequest) -> str:
    project = _project_of(principal, request)
    check(principal, Action.INSTANCE_REQUEST, Subject(project=project))
    if _project.row(tx, of_reference=project) is None:
        raise InputError(
            f"sla.project_guid: there is no project {project!r}.",
            reference="no-such-project",
            context={"field": "sla.project_guid", "value": project},
            hint="Use the name of a project of yours.",
        )
    return project


def _project_of(principal: Principal, request: InstanceRequest) -> str:
    return access.wanted_project(principal, request.sla.get("project_guid", ""))


@prepared
def _project() -> Select[tuple[str]]:
    projects = tables.projects
    return select(projects.c.reference).where(projects.c.reference == bindparam("of_reference"))


@prepared
def _live_root() -> Select[tuple[object, ...]]:
    instances = tables.instances
    mine = (instances.c.project == bindparam("of_project"), instances.c.title == bindparam("of_title"))
    return select_instances().where(instances.c.gone.is_(None), instances.c.requester.is_(None), *mine)


def _find_child(tx: Transaction, asking: Row, request: InstanceRequest) -> Row | None:
    return _live_child.row(tx, of_tree=asking["tree"], of_title=request.title)


@prepared
def _live_child() -> Select[tuple[object, ...]]:
    instances = tables.instances
    mine = (instances.c.tree == bindparam("of_tree"), instances.c.title == bindparam("of_title"))
    return select_instances().where(instances.c.gone.is_(None), *mine)


def _adopt(tx: Transaction, row: Row, asking: Row, by: str, now: float) -> None:
    """The last one who asks is the requester; asking again for an orphan makes it wanted."""
    if row["number"] == asking["number"] or is_root(row):
        raise Conflict(
            f"title: {row['title']!r} is the title of {'the requester' if not is_root(row) else 'the root'} itself.",
            reference="title-of-requester",
            context={"field": "title", "title": row["title"], "instance": instance_guid(row["number"])},
            hint="Request it with another title.",
        )
    if row["requester"] == asking["number"] and not row["orphan"]:
        return
    _refuse_cycle(tx, row, asking)
    write(tx, row, requester=asking["number"], orphan=False)
    sentence = f"{instance_guid(asking['number'])} asks for it now."
    history.record(tx, about(row), "requested", sentence, by=by, now=now)


def _refuse_cycle(tx: Transaction, row: Row, asking: Row) -> None:
    requesters = {each["number"]: each["requester"] for each in live_tree(tx, asking["tree"])}
    above = asking["number"]
    while above is not None:
        if above == row["number"]:
            raise Conflict(
                f"{instance_guid(row['number'])} requested {instance_guid(asking['number'])}, not the other way round.",
                reference="circular-request",
                context={"instance": instance_guid(row["number"]), "requester": instance_guid(asking["number"])},
                hint="Request another title.",
            )
        above = requesters.get(above)


def _check_fits(row: Row, request: InstanceRequest) -> None:
    """What exists can become what is ordered; :class:`Conflict` else."""
    if row["shared"] != request.shared:
        raise Conflict(
            f"{request.title!r} exists and is {'a shared' if row['shared'] else 'an ordinary'} instance.",
            reference="kind-is-fixed",
            context={"field": "shared", "instance": instance_guid(row["number"])},
            hint="Destroy it first, or choose another title.",
        )
    if row["state"] == InstanceState.DESTROYED:
        _refuse_revival(row, request)


def _change(
    tx: Transaction, row: Row, request: InstanceRequest, by: str, now: float, elsewhere: Elsewhere | None
) -> None:
    if row["forwarded"] and elsewhere is None:
        raise forwards.not_asked(row)
    if request.state is InstanceState.DESTROYED:
        tx.will_write()
        if row["state"] != InstanceState.DESTROYED:
            destroy(tx, row, by=by, now=now)
        if elsewhere is not None:
            forwards.taken_back(tx, elsewhere.number, now, by=by)
        return
    _change_sla(tx, row, request)
    changed = _differences(row, request)
    if changed:
        _apply(tx, row, changed, now)
        what = ", ".join(name.replace("_", " ") for name in changed)
        history.record(tx, about(row), "requested", f"Changed: {what}.", by=by, now=now)
    again = current(tx, row)
    if again["node"] is None:
        give_place(tx, again, elsewhere, now, by)


def _refuse_revival(row: Row, request: InstanceRequest) -> None:
    if request.state is InstanceState.DESTROYED:
        return
    raise Conflict(
        f"{request.title!r} ({instance_guid(row['number'])}) is being destroyed.",
        reference="being-destroyed",
        context={"instance": instance_guid(row["number"]), "title": request.title},
        hint="Wait until it is destroyed: the title is free again then.",
    )


def _differences(row: Row, request: InstanceRequest) -> dict[str, Any]:
    """Columns that the order changes and that the node must see."""
    wanted = {
        "release": request.release,
        "software_type": request.software_type,
        "parameters": dump(dict(request.parameters)),
        "state": request.state.value if request.state is not None else row["state"],
    }
    if json.loads(row["parameters"]) == dict(request.parameters):
        del wanted["parameters"]  # another order of the keys is no change
    return {name: value for name, value in wanted.items() if row[name] != value}


def _apply(tx: Transaction, row: Row, changed: dict[str, Any], now: float) -> None:
    """A root that stops or starts takes its tree with it: children keep their own wish, and act on the root's."""
    touch(tx, row, now, **changed)
    if "state" not in changed or not is_root(row):
        return
    for child in live_tree(tx, row["tree"]):
        if not is_root(child) and child["state"] == InstanceState.STARTED.value:
            touch(tx, child, now)
            if child["forwarded"]:
                forwards.ask_soon(tx, child, now)


def _change_sla(tx: Transaction, row: Row, request: InstanceRequest) -> None:
    """Where it lives stays; another SLA counts at the next allocation, and for a pending instance at once."""
    if json.loads(row["sla"]) != dict(request.sla):
        write(tx, row, **sla_columns(request))


def _last_gone(tx: Transaction, principal: Principal, asking: Row | None, request: InstanceRequest) -> Row:
    """Asked to destroy what is destroyed already: that one; never a new one."""
    instances = tables.instances
    if asking is None:
        where = instances.c.requester.is_(None) & (instances.c.project == _root_project(tx, principal, request))
    else:
        where = instances.c.tree == asking["tree"]
    gone = select(instances.c.number).where(where, instances.c.title == request.title)
    number = tx.execute(gone.order_by(instances.c.number.desc()).limit(1)).scalar_one_or_none()
    row = instance_row(tx, number)
    if row is None:
        raise access.no_instance(repr(request.title))
    return row


__all__ = ["check_request", "request_instance", "wanted_state"]
