"""As whom a caller acts: claims and certificates, beliefs of the legacy listener."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slapos.master.field.caller import LEGACY_PERSON, LEGACY_PROJECT, Acting, Asking, Caller, Place, claim_of
from slapos.master.field.identification import believed, named_guid, proven
from slapos.master.storage.database import open_storage
from slapos.model.errors import HyperopenxError, InputError
from slapos.model.objects import Instance
from slapos.model.principal import Principal
from slapos.model.states import PrincipalKind
from tests.unit.master.world import OPERATOR, World, instance_principal, node_principal, user

NOWHERE = Place()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    storage = open_storage(f"sqlite:///{tmp_path}/m.db")
    yield World(storage)
    storage.close()


@pytest.fixture
def legacy(world: World) -> tuple[str, Instance]:
    """A node of the legacy project, and an instance on it."""
    node = world.node(2, project=LEGACY_PROJECT)
    return node, world.request("old", by=LEGACY_PERSON)


def refusal(act: Callable[[], Any]) -> str:
    with pytest.raises(HyperopenxError) as caught:
        act()
    return caught.value.reference


@pytest.mark.parametrize(
    ("header", "claim"),
    [
        ("X-SlapPartition computer_id=COMP-1, computer_partition_id=slappart0", ("COMP-1", "slappart0")),
        ("x-slappartition computer_partition_id=p,computer_id=c", ("c", "p")),
        ("", None),
        ("Basic eDp5", None),
        ("Bearer computer_id=c, computer_partition_id=p", None),
    ],
)
def test_claims(header: str, claim: tuple[str, str] | None) -> None:
    assert claim_of(header) == claim


@pytest.mark.parametrize("rest", ["", "a", "computer_id=c", "computer_id=c, computer_partition_id=", "a=b, c=d"])
def test_claims_that_cannot_be_read(rest: str) -> None:
    with pytest.raises(InputError) as caught:
        claim_of(f"X-SlapPartition {rest}")
    assert caught.value.reference == "invalid-claim"


def test_a_certificate_decides(world: World) -> None:
    mine, other = world.node(1), world.node(1)
    made = world.request("mine", sla={"computer_guid": mine})
    node, instance = node_principal(mine), instance_principal(made.guid)
    here, there = (mine, "slappart0"), (other, "slappart0")

    def act(who: Principal, claim: tuple[str, str] | None, acting: Acting, place: Place = NOWHERE) -> Principal:
        asking = Asking(Caller(claim=claim), acting, place)
        return world.storage.read(lambda tx: proven(tx, who, asking))

    for acting in Acting:
        assert act(instance, here, acting) == instance
        assert act(OPERATOR, there, acting) == OPERATOR
        assert refusal(lambda: act(instance, there, acting)) == "claim-refused"  # noqa: B023
        assert refusal(lambda: act(instance, ("x", "y"), acting)) == "claim-refused"  # noqa: B023
        assert refusal(lambda: act(node, there, acting)) == "claim-refused"  # noqa: B023
    assert act(node, here, Acting.NODE) == node
    assert act(node, here, Acting.PARTITION) == instance
    assert act(node, None, Acting.PARTITION, Place(*here)) == instance
    assert act(node, None, Acting.PARTITION, Place(*there)) == node
    assert act(node, None, Acting.PARTITION) == node


def test_everybody_is_believed_in_the_legacy_project(world: World, legacy: tuple[str, Instance]) -> None:
    node, made = legacy

    def act(acting: Acting, place: Place = NOWHERE, claim: tuple[str, str] | None = None) -> Principal:
        asking = Asking(Caller(legacy=True, claim=claim), acting, place)
        return world.storage.read(lambda tx: believed(tx, asking))

    here = (node, made.partition)
    assert act(Acting.PERSON) == act(Acting.PERSON, Place(*here), here) == LEGACY_PERSON
    assert act(Acting.PARTITION) == LEGACY_PERSON
    assert act(Acting.NODE, Place(node)) == node_principal(node)
    assert act(Acting.NODE, Place(guid=made.guid)) == node_principal(node)
    assert act(Acting.PARTITION, Place(*here)) == instance_principal(made.guid)
    assert act(Acting.PARTITION, claim=here) == instance_principal(made.guid)
    assert act(Acting.PARTITION, Place(guid=made.guid)) == instance_principal(made.guid)
    assert refusal(lambda: act(Acting.PARTITION, claim=(node, "slappart1"))) == "unknown-claim"
    assert refusal(lambda: act(Acting.PARTITION, Place(node, "slappart1"))) == "partition-free"
    assert refusal(lambda: act(Acting.NODE)) == "no-such-node"


def test_nobody_is_believed_outside_it(world: World) -> None:
    node = world.node(1)
    made = world.request("proven")

    def act(acting: Acting, place: Place, claim: tuple[str, str] | None = None) -> Principal:
        asking = Asking(Caller(legacy=True, claim=claim), acting, place)
        return world.storage.read(lambda tx: believed(tx, asking))

    here = (node, made.partition)
    assert refusal(lambda: act(Acting.NODE, Place(node))) == "no-such-node"
    assert refusal(lambda: act(Acting.NODE, Place(guid=made.guid))) == "no-such-instance"
    assert refusal(lambda: act(Acting.PARTITION, Place(*here))) == "no-such-node"
    assert refusal(lambda: act(Acting.PARTITION, Place(guid=made.guid))) == "no-such-instance"
    assert refusal(lambda: act(Acting.PARTITION, Place(), here)) == "unknown-claim"


def test_who_sees_no_node_learns_nothing_of_its_partitions(world: World) -> None:
    node = world.node(2)
    made = world.request("secret")

    def named(who: Principal, partition: str) -> str:
        return world.storage.read(lambda tx: named_guid(tx, who, node, partition))

    stranger = user("stranger", project="other")
    assert stranger.kind is PrincipalKind.USER
    assert named(user(), made.partition) == made.guid
    assert refusal(lambda: named(user(), "slappart1")) == "partition-free"
    for partition in (made.partition, "slappart1", "unknown"):
        assert refusal(lambda: named(stranger, partition)) == "no-such-node"  # noqa: B023
