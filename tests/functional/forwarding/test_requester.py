"""An instance on a real node requests what another master serves: it waits, and goes on when something is published."""

from __future__ import annotations

import contextlib

from slapos.master.forwarding.plan import OtherMaster
from slapos.model.objects import InstanceRequest
from slapos.model.states import Health, InstanceState
from slapos.testing.master import MasterServer
from slapos.testing.waiting import wait_for
from tests.functional.forwarding.pair import SECONDS, add_legacy_node
from tests.functional.node.harness import RealNode, Site, open_directory


def test_a_real_instance_gets_what_is_published_at_the_other_master() -> None:
    with open_directory() as directory, contextlib.ExitStack() as stack:
        roots = [str(directory / "releases")]
        release = f"{roots[0]}/hello/software.cfg"
        far = stack.enter_context(MasterServer(directory / "far", legacy=True, release_roots=roots))
        add_legacy_node(far, "far-node", partitions=2, release=release)
        others = (OtherMaster(url=far.legacy_url, releases=(release,)),)
        near = stack.enter_context(MasterServer(directory / "near", release_roots=roots, other_masters=others))
        node = stack.enter_context(RealNode(near, directory))
        follow(Site(near, directory), far, node, release)


def follow(site: Site, far: MasterServer, node: RealNode, release: str) -> None:
    near = site.master
    node.start()
    site.supply(node)
    here = {"master_url": near.url, "computer_guid": node.reference}
    near.operator.request(InstanceRequest("family", release, "parent", {"text": "é"}, here))
    waiting = site.wait("family", Health.WAITING, sentence="child", seconds=SECONDS)
    title = f"{waiting.partition}_child"
    there = wait_for(
        lambda: next((root for root in far.operator.roots() if root.title == title), None),
        SECONDS,
        "it is there",
    )
    assert there is not None and there.parameters == {"text": "é"}
    far.operator.publish(there.guid, {"url": "https://far.example.org/?a=1&b=é"})
    parent = site.wait("family", Health.OK, seconds=SECONDS)
    assert parent.connection == {"url": "https://far.example.org/?a=1&b=é"}
    far.operator.publish(there.guid, {"url": "https://far.example.org/new"})
    wait_for(
        lambda: near.operator.instance(title="family").connection,
        SECONDS,
        "it is published anew",
        until=lambda found: found == {"url": "https://far.example.org/new"},
    )
    near.operator.request(InstanceRequest("family", release, "parent", state=InstanceState.DESTROYED))
    wait_for(lambda: near.operator.node(node.reference).busy == 0, SECONDS, "the partition is free")
    wait_for(
        lambda: far.operator.instance(guid=there.guid).state,
        SECONDS,
        "it is destroyed there",
        until=lambda state: state is InstanceState.DESTROYED,
    )
