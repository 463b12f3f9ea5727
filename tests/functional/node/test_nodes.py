"""Three nodes on one machine, told apart by prefix and number, one of them with IPv6 only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from slapos.node.format import deformat_node
from slapos.system.network import has_ipv6
from slapos.system.users import find_identity
from slapos.testing.waiting import wait_for
from tests.functional.node.harness import RealNode, Site, page


@pytest.fixture(scope="module")
def three(site: Site) -> Iterator[list[RealNode]]:
    """Their daemons run and hold the release."""
    if not has_ipv6():
        pytest.skip("this machine has no ::1")
    base = os.getpid() % 200 + 20
    with ExitStack() as stack:
        nodes = []
        for index, ipv4 in enumerate((True, True, False)):
            made = RealNode(
                site.master, site.directory, name=f"t{index}", number=base + index, partition_amount=2, ipv4=ipv4
            )
            nodes.append(stack.enter_context(made).start())
        for node in nodes:
            site.supply(node)
        yield nodes


def test_each_serves_its_own_instance(site: Site, three: list[RealNode]) -> None:
    for node in three:
        site.order(f"on-{node.config.name}", node=node, text=node.config.name)
    found = [site.wait(f"on-{node.config.name}", sentence="serving") for node in three]
    assert [item.node for item in found] == [node.reference for node in three]
    assert [page(item)["text"] for item in found] == ["t0", "t1", "t2"]
    assert len({item.connection["url"] for item in found}) == 3
    assert {item.partition for item in found} == {"slappart0"}, "same names, other nodes"
    assert found[2].connection["url"].startswith("http://["), "IPv6 only, bracketed"
    assert all(":" in address.ip for address in found[2].addresses)


def test_users_are_apart(three: list[RealNode]) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: as an ordinary user all partitions run as that user")
    names = [node.config.partition_user(name) for node in three for name in node.config.partition_names]
    assert len({find_identity(name or "").uid for name in names}) == 6  # type: ignore[union-attr]


def test_what_happens_on_one_does_not_touch_the_others(site: Site, three: list[RealNode]) -> None:
    others = [page(site.operator.instance(title=f"on-{node.config.name}")) for node in three[1:]]
    site.order("on-t0", node=three[0], state="destroyed")
    wait_for(lambda: site.operator.node(three[0].reference).busy == 0, 30, "the partition is free")
    three[0].kill()
    assert three[0].services() == {}
    assert [page(site.operator.instance(title=f"on-{node.config.name}")) for node in three[1:]] == others
    assert all(list(node.services()) == ["slappart0:httpd"] for node in three[1:])


def test_formatting_one_away_leaves_the_others(three: list[RealNode]) -> None:
    deformat_node(three[0].config)
    for node in three[1:]:
        for name in node.config.partition_names:
            user = node.config.partition_user(name)
            assert user is None or find_identity(user) is not None
