"""What is remembered of partitions never answers for something newer: random writes, and what a reader sees after each.

Beside the answer with a memory stands the one that is read and written anew, as if there were no memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from slapos.master.field.memory import PartitionMemory
from slapos.master.services import instances, nodes, shown, sweep, trees
from slapos.master.storage import tables
from slapos.master.storage.database import open_storage
from slapos.master.storage.identities import instance_number, node_number
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import HyperopenxError, NotFound
from slapos.model.objects import Address, Instance, InstanceReport, Partition, SupplyStatus
from slapos.model.principal import Principal
from slapos.model.states import Health, InstanceState, SupplyReport, SupplyState
from slapos.wire import field_documents, marshal
from tests.unit.master.databases import Databases
from tests.unit.master.world import OPERATOR, RELEASE, World, instance_principal, node_principal, partition

OTHER_RELEASE = "https://example.org/database/software.cfg"
TEXTS = ("", "a", "é & <b>", "\U0001f600\r\n", '{"a": [1]}')
READERS = 2  # how many memories: what one of them saw, the others may have missed


class Play:
    """Two nodes, a tree whose root serves a shared instance, and what random numbers make of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.nodes = [world.node(2), world.node(3)]
        site = world.request("site", parameters={"a": "b"})
        guest = world.request("guest", shared=True, sla={"instance_guid": site.guid})
        self.guids = [site.guid, guest.guid, world.child(site, "db").guid]
        self.memories = [PartitionMemory(), PartitionMemory(limit=4_000)]

    def pick(self, number: int) -> Instance:
        return self.world.find(self.guids[number % len(self.guids)])

    def write(self, what: str, one: int, two: int) -> None:
        """One change; one that is refused changes nothing, and that is right, too."""
        self.world.now += two % 3
        with contextlib.suppress(HyperopenxError):
            WRITES[what](self, one, TEXTS[two % len(TEXTS)], two)

    def keep(self, instance: Instance) -> None:
        if instance.guid not in self.guids:
            self.guids.append(instance.guid)

    def change(self, write: Callable[[Transaction], Any]) -> None:
        self.world.storage.write(write)


def _order(play: Play, one: int, text: str, two: int) -> None:
    release = (RELEASE, OTHER_RELEASE)[two % 2]
    play.keep(play.world.request(f"tree {one % 3}", parameters={"text": text}, release=release, software_type="t"))


def _child(play: Play, one: int, text: str, two: int) -> None:
    parent = play.pick(one)
    play.keep(play.world.child(parent, f"child {two % 2}", parameters={"text": text}, sla={"retention_delay": "1"}))


def _shared(play: Play, one: int, text: str, two: int) -> None:
    host = play.pick(one)
    sla = {"instance_guid": host.guid}
    guest = play.world.request(f"guest {two % 2}", shared=True, sla=sla, parameters={"x": text}, release=host.release)
    play.keep(guest)


def _state(play: Play, one: int, text: str, two: int) -> None:
    state = (InstanceState.STOPPED, InstanceState.STARTED, InstanceState.DESTROYED)[two % 3]
    found = play.pick(one)
    by = instance_principal(found.requester_guid) if found.requester_guid else OPERATOR
    play.world.request(found.title, by=by, state=state, shared=found.shared, release=found.release)


def _report(play: Play, one: int, text: str, two: int) -> None:
    found = play.pick(one)
    health = (Health.OK, Health.ERROR, Health.STOPPED, Health.DESTROYED)[two % 4]
    state = "destroyed" if health is Health.DESTROYED else ("", "started")[one % 2]
    play.world.report(found.node, InstanceReport(found.guid, health, text or "Runs.", state, found.timestamp))


def _publish(play: Play, one: int, text: str, two: int) -> None:
    play.world.publish(play.pick(one), {"url": text})


def _rename(play: Play, one: int, text: str, two: int) -> None:
    found = play.pick(one)
    play.change(lambda tx: trees.rename(tx, OPERATOR, found.guid, f"name {two}", play.world.now))


def _bang(play: Play, one: int, text: str, two: int) -> None:
    node = play.nodes[one % 2]
    play.change(lambda tx: nodes.bang_node(tx, OPERATOR, node, text, play.world.now))


def _format(play: Play, one: int, text: str, two: int) -> None:
    moved = Partition("slappart0", (Address("lo", f"127.9.{two % 5}.1"),))
    wanted = [moved, *(partition(number) for number in range(1, 2 + two % 3))]
    play.world.format(play.nodes[one % 2], tuple(wanted[::-1] if one % 3 else wanted))


def _supply(play: Play, one: int, text: str, two: int) -> None:
    node, release = play.nodes[one % 2], (RELEASE, OTHER_RELEASE)[two % 2]
    play.world.supply(node, release, (SupplyState.AVAILABLE, SupplyState.DESTROYED)[two % 3 == 0])
    said = (SupplyReport.AVAILABLE, SupplyReport.DESTROYED)[two % 3 == 0]
    play.world.report(node, supplies=(SupplyStatus(release, said),))


def _wait(play: Play, one: int, text: str, two: int) -> None:
    play.world.now += 100_000
    play.change(lambda tx: sweep.sweep(tx, play.world.now))


def _by_hand(play: Play, one: int, text: str, two: int) -> None:
    """As who repairs a database: no generation, no timestamp moves."""
    name = ("title", "sentence", "software_type", "release")[two % 4]
    number = instance_number(play.pick(one).guid)
    table = tables.instances
    statement = update(table).where(table.c.number == number).values({name: f"by hand {two}"})
    play.change(lambda tx: tx.execute(statement))


WRITES: dict[str, Callable[[Play, int, str, int], None]] = {
    "order": _order,
    "child": _child,
    "shared": _shared,
    "state": _state,
    "report": _report,
    "publish": _publish,
    "rename": _rename,
    "bang": _bang,
    "format": _format,
    "supply": _supply,
    "wait": _wait,
    "by hand": _by_hand,
}


def remembered(tx: Transaction, memory: PartitionMemory, node: str) -> bytes:
    number = node_number(node) or 0
    partitions = [memory.written(node, each) for each in shown.shown_partitions(tx, number)]
    return marshal.dumps(field_documents.computer(node, partitions, shown.shown_supplies(tx, number)))


def anew(tx: Transaction, node: str) -> bytes:
    state = nodes.node_state(tx, node_principal(node), node)
    found = [field_documents.partition(node, name, instance) for name, instance in state.partitions.items()]
    return marshal.dumps(field_documents.computer(node, found, state.supplies))


def one_remembered(tx: Transaction, memory: PartitionMemory, who: Principal, node: str, name: str) -> bytes:
    try:
        found = instances.show_partition(tx, who, node, name)
    except NotFound as error:
        return error.reference.encode()
    return marshal.dumps(memory.written(node, found, for_node=instances.sees_as_node(who)))


def one_anew(tx: Transaction, who: Principal, node: str, name: str) -> bytes:
    try:
        instance = instances.instance_of_partition(tx, who, node, name)
    except NotFound as error:
        return error.reference.encode()
    return marshal.dumps(field_documents.partition(node, name, instance))


def compare(tx: Transaction, play: Play, turn: int) -> None:
    memory = play.memories[turn % READERS]
    for node in play.nodes:
        assert remembered(tx, memory, node) == anew(tx, node)
        for who in (OPERATOR, node_principal(node)):
            for name in ("slappart0", "slappart1", "nowhere"):
                assert one_remembered(tx, memory, who, node, name) == one_anew(tx, who, node, name)


@settings(max_examples=20, deadline=None)
@given(
    writes=st.lists(
        st.tuples(st.sampled_from(sorted(WRITES)), st.integers(0, 30), st.integers(0, 30)), min_size=5, max_size=25
    )
)
def test_after_any_writes_the_answer_is_the_one_made_anew(
    databases: Databases, writes: list[tuple[str, int, int]]
) -> None:
    with databases.empty() as url:
        storage = open_storage(url)
        try:
            play = Play(World(storage))
            for turn, (what, one, two) in enumerate(writes):
                play.write(what, one, two)
                storage.read(lambda tx, turn=turn: compare(tx, play, turn))
        finally:
            storage.close()


def test_nothing_is_written_again_while_nothing_changes(world: World) -> None:
    node = world.node(3)
    site = world.request("site")
    memory = PartitionMemory()

    def read() -> list[marshal.Written]:
        number = node_number(node) or 0
        return world.storage.read(
            lambda tx: [memory.written(node, each) for each in shown.shown_partitions(tx, number)]
        )

    first = read()
    world.request("elsewhere")  # it takes the second partition
    world.report(node, InstanceReport(site.guid, Health.OK, "Runs.", "started", site.timestamp))
    second = read()
    assert [a is b for a, b in zip(first, second, strict=True)] == [False, False, True]
    assert [a is b for a, b in zip(second, read(), strict=True)] == [True, True, True]


def test_the_memory_is_bounded(world: World) -> None:
    node = world.node(30)
    memory = PartitionMemory(limit=5_000)
    found = world.storage.read(lambda tx: shown.shown_partitions(tx, node_number(node) or 0))
    sizes = []
    for each in found:
        memory.written(node, each)
        sizes.append(memory.size)
    assert 4_000 < max(sizes) <= 5_000
    assert memory.written(node, found[-1]) is memory.written(node, found[-1])
