"""An order costs the same however many partitions, instances and events there are: every statement uses an index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from slapos.master.services import shown
from slapos.master.storage import prepared
from slapos.master.storage.database import Storage, open_storage
from slapos.master.storage.identities import node_number
from slapos.model.objects import Instance, InstanceReport
from slapos.model.states import Health, InstanceState
from tests.unit.master.world import World

GROWING = ("partitions", "instances", "events", "certificates", "answers", "usage", "partition_capabilities")


def scans(storage: Storage, act: Callable[[], Any]) -> list[str]:
    """Lines of SQLite's query plans that read a growing table from end to end."""
    return [line for line in plans(storage, act) if is_scan(line)]


def plans(storage: Storage, act: Callable[[], Any]) -> list[str]:
    """How SQLite runs each statement of ``act``: ``<line of the plan>: <statement>``."""
    statements: list[tuple[str, Any]] = []

    def record(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.split(maxsplit=1)[0] in ("SELECT", "UPDATE", "DELETE"):
            statements.append((statement, parameters))

    def run(compiled: Any, tx: Any, values: Any) -> Any:
        cursor = original(compiled, tx, values)
        record(None, None, *compiled.sent(values))
        return cursor

    original = prepared._Compiled.run
    engines = (storage._writers.engine, storage._readers.engine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepared._Compiled, "run", run)
        for engine in engines:
            event.listen(engine, "before_cursor_execute", record)
        act()
        for engine in engines:
            event.remove(engine, "before_cursor_execute", record)
    assert statements

    def explain(tx: Any) -> list[str]:
        found = []
        for statement, parameters in statements:
            many = isinstance(parameters, list) and parameters and isinstance(parameters[0], tuple)
            row = tuple(parameters[0] if many else parameters)
            plan = tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", row).all()
            found += [f"{line[3]}: {statement}" for line in plan]
        return found

    return storage.read(explain)


def is_scan(line: str) -> bool:
    """``SCAN x USING INDEX`` walks a whole index; of a partial index, only its part."""
    words = line.split()
    if words[0] != "SCAN" or words[1] not in (*GROWING, "root", "place", "of_node", "living", "guest"):
        return False
    return not any(name in line for name in ("ix_instances_pending", "ix_instances_retained"))


@pytest.fixture
def small(tmp_path: Path):  # type: ignore[no-untyped-def]
    storage = open_storage(f"sqlite:///{tmp_path}/m.db")
    yield World(storage)
    storage.close()


def test_no_statement_of_an_order_scans(small: World) -> None:
    node = small.node(partitions=5)
    site = small.request("site")
    child = small.child(site, "db", sla={"spread": "a", "mode": "unique_by_network"})
    guest = small.child(site, "guest", shared=True)
    alone = small.request("alone", sla={"capability": "gpu"})

    def destroyed(instance: Instance) -> None:
        small.destroy(instance)
        small.report_destroyed(instance)

    report = InstanceReport(site.guid, Health.OK, "Runs.", "started", site.timestamp)
    acts: dict[str, Callable[[], Any]] = {
        "order": lambda: small.request("new"),
        "again": lambda: small.request("new"),
        "change": lambda: small.request("site", parameters={"a": "b"}),
        "stop": lambda: small.request("site", state=InstanceState.STOPPED),
        "child": lambda: small.child(child, "grandchild", sla={"spread": "a"}),
        "shared": lambda: small.child(site, "guest", shared=True, parameters={"a": "b"}),
        "publish": lambda: small.publish(child, {"url": "x"}),
        "report": lambda: small.report(node, report),
        "find": lambda: small.find(guest),
        "state": lambda: small.state(node),
        "shown": lambda: small.storage.read(lambda tx: shown.shown_partitions(tx, node_number(node) or 0)),
        "one shown": lambda: small.storage.read(
            lambda tx: shown.shown_partition(tx, node_number(node) or 0, "slappart0")
        ),
        "news": lambda: small.state(node, small.storage.generation() - 1),
        "destroy": lambda: destroyed(site),
        "pending": lambda: small.destroy(alone),
    }
    assert {name: found for name, act in acts.items() if (found := scans(small.storage, act))} == {}


def test_a_free_partition_is_found_without_passing_the_busy_ones(small: World) -> None:
    small.node(partitions=5)
    lines = plans(small.storage, lambda: small.request("site"))
    (claim,) = [line for line in lines if "instance IS NULL" in line and ": SELECT" in line]
    assert "ix_partitions_free" in claim
    (pending,) = [line for line in lines if "pending = 1" in line and ": SELECT" in line]
    assert "ix_instances_pending" in pending
