"""Supplies: which releases are wished on which nodes, and what the nodes say of them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import RowMapping, delete, insert, select, update

from slapos.master.authorization import Action
from slapos.master.services import access, history
from slapos.master.services.placing import serve_pending
from slapos.master.services.records import dump
from slapos.master.storage import tables
from slapos.master.storage.identities import node_reference
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import Conflict, InputError
from slapos.model.objects import Supply, SupplyStatus
from slapos.model.principal import Principal
from slapos.model.states import SupplyReport, SupplyState
from slapos.model.text import check_text
from slapos.model.trouble import told

RELEASE_LIMIT = 2_000
SENTENCE_LIMIT = 5_000  # characters


def supply(tx: Transaction, principal: Principal, node: str, release: str, state: SupplyState, now: float) -> Supply:
    """Wishes a release on a node, or no longer; the same wish twice changes nothing.

    Destroying what is not there answers a supply reported destroyed.  Raises :class:`Conflict` when instances of the
    release still live on the node.
    """
    number = access.find_node_number(tx, principal, node, Action.SUPPLY)
    _check_release(release)
    row = _row(tx, number, release)
    wished = SupplyState(state)
    if row is None and wished is SupplyState.DESTROYED:
        return Supply(release, node, wished, reported=SupplyReport.DESTROYED, sentence="It is not there.")
    if row is not None and row["state"] == wished.value:
        return to_supply(row)
    if wished is SupplyState.DESTROYED:
        _refuse_in_use(tx, number, node, release)
    _wish(tx, number, release, wished, known=row is not None)
    by = history.actor(principal)
    kind = "supplied" if wished is SupplyState.AVAILABLE else "removed"
    sentence = f"The release is {'wished' if kind == 'supplied' else 'no longer wished'} on {node}: {release}"
    for subject in (node, f"{node} {release}"):
        history.record(tx, (access.project_of_node(tx, number), subject), kind, sentence, by=by, now=now)
    if wished is SupplyState.AVAILABLE:
        serve_pending(tx, now, node=number)
    found = _row(tx, number, release)
    assert found is not None
    return to_supply(found)


def _wish(tx: Transaction, node: int, release: str, state: SupplyState, *, known: bool) -> None:
    table = tables.supplies
    reported = SupplyReport.UNKNOWN.value
    values = {"state": state.value, "reported": reported, "sentence": "Not reported yet.", "error": "{}"}
    if known:
        tx.execute(update(table).where(table.c.node == node, table.c.release == release).values(**values))
    else:
        tx.execute(insert(table).values(node=node, release=release, **values))
    tx.supply_changed(node, release)


def _check_release(release: str) -> None:
    check_text("release", release)
    if not 0 < len(release) <= RELEASE_LIMIT or release != release.strip():
        raise InputError(
            f"release: 1 to {RELEASE_LIMIT} characters without spaces at the ends are expected.",
            reference="invalid-field",
            context={"field": "release", "value": release[:RELEASE_LIMIT]},
            hint="Give the URL of a profile.",
        )


def _refuse_in_use(tx: Transaction, number: int, node: str, release: str) -> None:
    instances, place = tables.instances, tables.partitions
    living = (
        select(instances.c.number, instances.c.title)
        .join(place, place.c.instance == instances.c.number)
        .where(place.c.node == number, instances.c.release == release)
        .order_by(instances.c.number)
    )
    rows = tx.execute(living).all()
    if rows:
        names = [f"{row.title} (SOFTINST-{row.number})" for row in rows[:5]]
        raise Conflict(
            f"{len(rows)} instance(s) on {node} use the release: {', '.join(names)}.",
            reference="release-in-use",
            context={"node": node, "release": release, "instances": names},
            hint="Destroy or upgrade them first.",
        )


def list_supplies(tx: Transaction, principal: Principal, node: str) -> list[Supply]:
    """Those of a node, by release."""
    number = access.find_node_number(tx, principal, node, Action.NODE_READ)
    return supplies_of(tx, number)


def supplies_of(tx: Transaction, node: int, since: int = 0) -> list[Supply]:
    """Those that changed after generation ``since``; no rights are checked."""
    table = tables.supplies
    found = select(table).where(table.c.node == node).order_by(table.c.release)
    if since:
        found = found.where(table.c.generation > since)
    return [to_supply(row) for row in tx.execute(found).mappings()]


def to_supply(row: RowMapping) -> Supply:
    return Supply(
        release=row["release"],
        node=node_reference(row["node"]),
        state=SupplyState(row["state"]),
        generation=row["generation"],
        reported=SupplyReport(row["reported"]),
        sentence=row["sentence"],
        error=json.loads(row["error"]),
    )


def report_supply(tx: Transaction, principal: Principal, node: str, status: SupplyStatus, now: float) -> None:
    """What the node says of one of its supplies; of one that nobody wishes, nothing is kept."""
    number = access.find_node_number(tx, principal, node, Action.NODE_REPORT)
    record_statuses(tx, number, (status,), by=history.actor(principal), now=now)


def record_statuses(tx: Transaction, node: int, statuses: Sequence[SupplyStatus], *, by: str, now: float) -> None:
    """The same for several; rights were checked."""
    for index, status in enumerate(statuses):
        check_text(f"supplies[{index}].sentence", status.sentence)
        row = _row(tx, node, status.release)
        if row is not None:
            _record(tx, row, status, by=by, now=now)


def _record(tx: Transaction, row: RowMapping, status: SupplyStatus, *, by: str, now: float) -> None:
    table, node, release = tables.supplies, row["node"], status.release
    reference = node_reference(node)
    where = (table.c.node == node, table.c.release == release)
    if status.reported is SupplyReport.DESTROYED:
        if row["state"] != SupplyState.DESTROYED.value:
            raise Conflict(
                f"{reference} reports the release as destroyed, but it is wished there: {release}",
                reference="destruction-not-wished",
                context={"node": reference, "release": release},
                hint="Read the node's state again.",
            )
        tx.execute(delete(table).where(*where))
        tx.node_changed(node, reset=True)
    else:
        told_sentence = status.sentence[:SENTENCE_LIMIT]
        values = {"reported": status.reported.value, "sentence": told_sentence, "error": dump(told(status.error))}
        if all(row[name] == value for name, value in values.items()):
            return
        tx.execute(update(table).where(*where).values(**values))
        tx.node_changed(node)
    sentence = status.sentence or f"The release is {status.reported.value}."
    about = (access.project_of_node(tx, node), f"{reference} {release}")
    history.record(tx, about, "reported", sentence, by=by, now=now)


def _row(tx: Transaction, node: int, release: str) -> RowMapping | None:
    table = tables.supplies
    found = select(table).where(table.c.node == node, table.c.release == release)
    return tx.execute(found).mappings().one_or_none()
