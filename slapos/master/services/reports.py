"""What a node says of its instances: health, one sentence kept word for word, promises, the state that was reached."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from slapos.master.services import history
from slapos.master.services.changes import about, lock_tree, write
from slapos.master.services.records import Row, dump, instance_row, wanted_state
from slapos.master.services.trees import finish
from slapos.master.storage.identities import instance_guid, instance_number, node_reference
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import Conflict, InputError, Refused
from slapos.model.objects import InstanceReport
from slapos.model.states import Health, InstanceState
from slapos.model.text import check_text
from slapos.model.trouble import told

SENTENCE_LIMIT = 5_000  # characters
MESSAGE_LIMIT = 5_000  # … of a promise
PROMISES_LIMIT = 1_000
_SETTLED = (Health.OK, Health.STOPPED)


def record_reports(tx: Transaction, node: int, reports: Sequence[InstanceReport], *, by: str, now: float) -> None:
    """Writes them down; what is destroyed frees its partition.  Rights on the node were checked."""
    rows = [_check(tx, node, index, report) for index, report in enumerate(reports)]
    for tree in sorted({row["tree"] for row in rows}):
        lock_tree(tx, tree)
    for row, report in zip(rows, reports, strict=True):
        fresh = instance_row(tx, row["number"]) or row
        if fresh["gone"] is None:
            _record(tx, fresh, report, by=by, now=now)


def _check(tx: Transaction, node: int, index: int, report: InstanceReport) -> Row:
    field = f"instances[{index}]"
    row = instance_row(tx, instance_number(report.guid))
    if row is None or (row["gone"] is None and row["node"] != node):
        raise Refused(
            f"{field}.guid: {report.guid} does not live on {node_reference(node)}.",
            reference="not-on-this-node",
            context={"field": f"{field}.guid", "instance": report.guid, "node": node_reference(node)},
            hint="Read the node's state again.",
        )
    check_text(f"{field}.sentence", report.sentence)
    if report.reported_state not in ("", *InstanceState):
        raise InputError(
            f"{field}.reported_state: {report.reported_state!r} is not one of {', '.join(InstanceState)}.",
            reference="invalid-state",
            context={"field": f"{field}.reported_state", "value": report.reported_state},
        )
    for number, promise in enumerate(report.promises[:PROMISES_LIMIT]):
        check_text(f"{field}.promises[{number}].message", promise.message)
        check_text(f"{field}.promises[{number}].name", promise.name)
    return row


def _record(tx: Transaction, row: Row, report: InstanceReport, *, by: str, now: float) -> None:
    if report.reported_state == InstanceState.DESTROYED:
        _destroyed(tx, row, by=by, now=now)
        return
    values = _values(row, report)
    if all(row[name] == value for name, value in values.items()):
        return
    said = (row["health"], row["sentence"]) != (values["health"], values["sentence"])
    write(tx, row, **values, reported=int(now))
    if said:
        history.record(tx, about(row), "reported", f"{values['health']}: {values['sentence']}", by=by, now=now)


def _values(row: Row, report: InstanceReport) -> dict[str, Any]:
    """A report about an older timestamp cannot say that all is well: the wanted state changed meanwhile."""
    stale = 0 < report.timestamp < row["timestamp"]
    health = Health.WORKING if stale and report.health in _SETTLED else report.health
    promises = [
        {**dataclasses.asdict(promise), "message": promise.message[:MESSAGE_LIMIT]}
        for promise in report.promises[:PROMISES_LIMIT]
    ]
    return {
        "health": health.value,
        "sentence": report.sentence[:SENTENCE_LIMIT],
        "reported_state": report.reported_state or row["reported_state"],
        "promises": dump(promises),
        "error": dump(told(report.error)),
        "processed": report.timestamp or row["processed"],
    }


def _destroyed(tx: Transaction, row: Row, *, by: str, now: float) -> None:
    if wanted_state(row, for_node=True) is not InstanceState.DESTROYED:
        raise Conflict(
            f"{instance_guid(row['number'])} is reported destroyed, but nobody asked for its destruction.",
            reference="destroy-not-requested",
            context={"instance": instance_guid(row["number"]), "state": wanted_state(row, for_node=True).value},
            hint="Read the node's state again.",
        )
    if row["shared"]:
        return
    finish(tx, row, by=by, now=now)
