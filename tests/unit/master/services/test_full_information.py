"""All that a node must know is read in bulk: a few statements, however many partitions it has."""

from __future__ import annotations

from pathlib import Path

from slapos.master.field.memory import PartitionMemory
from slapos.master.services import shown
from slapos.master.storage.database import open_storage
from slapos.master.storage.identities import node_number
from slapos.master.storage.transaction import Transaction
from slapos.wire import field_documents, marshal
from slapos.wire.marshal import Limits
from tests.unit.master.world import World

PARTITIONS = 600


def test_few_statements_for_many_partitions(tmp_path: Path) -> None:
    world = World(open_storage(f"sqlite:///{tmp_path}/m.db"))
    node = world.node(PARTITIONS)
    host = world.request("host")
    for number in range(20):
        world.request(f"busy {number}")
        world.request(f"guest {number}", shared=True, sla={"instance_guid": host.guid})
    statements: list[str] = []
    memory = PartitionMemory()
    number = node_number(node) or 0

    def read(tx: Transaction) -> bytes:
        driver = tx.connection.connection.dbapi_connection
        assert driver is not None
        driver.set_trace_callback(statements.append)
        try:
            supplies = shown.shown_supplies(tx, number)
            found = [memory.written(node, each) for each in shown.shown_partitions(tx, number)]
        finally:
            driver.set_trace_callback(None)
        return marshal.dumps(field_documents.computer(node, found, supplies))

    found = marshal.loads(world.storage.read(read), limits=Limits(size=64 * 1024 * 1024))
    partitions = found.state["_computer_partition_list"]
    assert len(partitions) == PARTITIONS
    assert sum(each.state["_need_modification"] for each in partitions) == 21
    [serving] = [each for each in partitions if each.state.get("_instance_guid") == host.guid]
    titles = [each["slave_title"] for each in serving.state["_parameter_dict"]["slave_instance_list"]]
    assert titles == [f"guest {number}" for number in range(20)]
    assert 1 <= len(statements) <= 4, statements
    world.storage.close()
