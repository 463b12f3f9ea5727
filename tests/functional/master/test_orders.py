"""Orders over the wire: what was sent is what the node gets, in both dialects."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slapos.model.errors import Conflict, InputError, NotFound
from slapos.model.objects import InstanceReport, InstanceRequest, PromiseResult, SupplyStatus
from slapos.model.states import Health, InstanceState, SupplyReport, SupplyState
from slapos.slap.client import Client
from slapos.testing.master import MasterServer

HOSTILE = {
    "buildout": "${buildout:directory}",
    "jinja": "{{ 1 + 1 }}{% raw %}",
    "format": "%(x)s %%",
    "quotes": "\"'`\\ $(id) ; rm -rf / #",
    "lines": "a\nb\r\n\tc",
    "emoji": "😀 é \u2028",
    "xml": "<a>&lt;</a>]]>",
    "empty": "",
    "space": "  x  ",
    "_": '{"n": 1}',
    "${key}": "v",
}


@pytest.fixture(scope="module")
def node(master: MasterServer, operator: Client, release: str) -> tuple[str, Client]:
    """A node with twenty partitions and the release."""
    reference, client = master.client_for_new_node("orders", 20)
    operator.supply(reference, release)
    client.report(reference, supplies=[SupplyStatus(release, SupplyReport.AVAILABLE, "Built.")])
    return reference, client


def test_hostile_parameters_reach_the_node_unchanged(operator: Client, node: tuple[str, Client], release: str) -> None:
    ordered = operator.request(InstanceRequest("hostile", release, parameters=HOSTILE))
    assert ordered.parameters == HOSTILE
    reference, client = node
    found = client.instance_of_partition(reference, ordered.partition)
    assert found.parameters == HOSTILE
    assert list(found.parameters) == list(HOSTILE)
    field = operator.call("slapos.get.v0.software_instance", {"instance_guid": ordered.guid})
    assert field["parameters"] == HOSTILE


def test_a_megabyte(operator: Client, node: tuple[str, Client], release: str) -> None:
    value = "😀x" * 200_000
    assert operator.request(InstanceRequest("megabyte", release, parameters={"a": value})).parameters == {"a": value}


@pytest.mark.parametrize("value", ["\x00", "a\x1bb", "\ufffe"])
def test_what_cannot_travel_is_refused_with_its_field(operator: Client, release: str, value: str) -> None:
    with pytest.raises(InputError) as caught:
        operator.request(InstanceRequest("refused", release, parameters={"key": value}))
    assert caught.value.reference == "invalid-text"
    assert caught.value.context["field"] == "parameters.key"
    with pytest.raises(NotFound):
        operator.instance(title="refused")


def test_pending_has_reasons_and_is_served_when_capacity_comes(master: MasterServer, operator: Client) -> None:
    pending = operator.request(InstanceRequest("later", "http://127.0.0.1:9/later/software.cfg"))
    assert not pending.node
    assert pending.health is Health.PENDING
    assert pending.reasons
    field = operator.call(
        "slapos.post.v0.software_instance",
        {"title": "later", "software_release_uri": "http://127.0.0.1:9/later/software.cfg", "software_type": ""},
    )
    assert field == {"message": "Software Instance Not Ready", "name": "SoftwareInstanceNotReady", "status": 102}


def test_life_of_an_instance(operator: Client, node: tuple[str, Client], release: str) -> None:
    reference, client = node
    order = InstanceRequest("life", release, parameters={"a": "1"})
    first = operator.request(order)
    assert replace(operator.request(order), generation=0) == replace(first, generation=0)
    changed = operator.request(InstanceRequest("life", release, parameters={"a": "2"}))
    assert changed.timestamp > first.timestamp
    promise = PromiseResult("p", True, "fine\x1b[0m", 1_800_000_000)
    client.report(
        reference, [InstanceReport(first.guid, Health.OK, "Serves.", "started", changed.timestamp, (promise,))]
    )
    seen = operator.instance(guid=first.guid)
    assert (seen.health, seen.sentence, seen.reported_state) == (Health.OK, "Serves.", "started")
    assert seen.promises[0].message == "fine\ufffd[0m"
    renamed = operator.rename(first.guid, "life 2")
    assert (renamed.guid, renamed.title) == (first.guid, "life 2")
    operator.request(InstanceRequest("life 2", release, state=InstanceState.DESTROYED))
    with pytest.raises(Conflict):
        operator.request(InstanceRequest("life 2", release))
    client.report(reference, [InstanceReport(first.guid, Health.DESTROYED, "Gone.", "destroyed")])
    with pytest.raises(NotFound):
        operator.instance(title="life 2")
    kinds = [event.kind for event in operator.history(first.guid)]
    assert kinds[0] == "requested"
    assert {"renamed", "destroyed", "freed"} <= set(kinds)


def test_a_tree(master: MasterServer, operator: Client, node: tuple[str, Client], release: str) -> None:
    _reference, client = node
    root = operator.request(InstanceRequest("tree", release))
    parent = master.client_for_instance(root.guid, client)
    child = parent.request(InstanceRequest("child", release))
    assert (child.requester_guid, child.root_title) == (root.guid, "tree")
    tree = operator.tree(title="tree")
    assert [below.instance.guid for below in tree.children] == [child.guid]
    child_client = master.client_for_instance(child.guid, client)
    child_client.publish(child.guid, {"url": "https://[::1]/${x}"})
    assert parent.instance(guid=child.guid).connection == {"url": "https://[::1]/${x}"}
    assert operator.instance(guid=root.guid).timestamp > root.timestamp
    client_of_root = parent
    client_of_root.requested_children(root.guid, [])
    assert operator.instance(guid=child.guid).orphan


def test_state_of_a_node_since(operator: Client, node: tuple[str, Client], release: str) -> None:
    reference, client = node
    everything = client.node_state(reference)
    assert everything.complete
    assert len(everything.partitions) == 20
    one = operator.request(InstanceRequest("since", release))
    changes = client.node_state(reference, everything.generation)
    assert not changes.complete
    assert {name: found.guid for name, found in changes.partitions.items() if found} == {one.partition: one.guid}
    assert client.node_state(reference, changes.generation).partitions == {}
    operator.bang(one.guid, "again")
    assert list(client.node_state(reference, changes.generation).partitions) == [one.partition]


def test_plan_and_usage(operator: Client, node: tuple[str, Client]) -> None:
    reference, client = node
    client.report(reference, plan={"actions": [{"start": "x"}]})
    assert operator.plan(reference) == {"actions": [{"start": "x"}]}
    assert client.usage(reference, "2026-01", "<x/>")
    assert not client.usage(reference, "2026-01", "<x/>")
    listed = operator.call("hyperopenx.allDocs.v0.usage_list", {})["result_list"]
    assert [item["identifier"] for item in listed if item["node"] == reference] == ["2026-01"]


def test_supply_and_remove(operator: Client, node: tuple[str, Client], releases: object, release: str) -> None:
    reference, client = node
    other = str(releases) + "/other.cfg"
    with pytest.raises(NotFound) as caught:
        operator.supply(reference, other)
    assert caught.value.reference == "release-not-found"
    with open(other, "w") as file:
        file.write("[buildout]\n")
    assert operator.supply(reference, other).state is SupplyState.AVAILABLE
    assert operator.supply(reference, other, SupplyState.DESTROYED).state is SupplyState.DESTROYED
    client.report(reference, supplies=[SupplyStatus(other, SupplyReport.DESTROYED)])
    assert other not in [supply.release for supply in operator.node(reference).supplies]


@pytest.mark.parametrize(
    ("url", "reference"),
    [
        ("/etc/passwd", "release-location-refused"),
        ("file:///etc/passwd", "release-location-refused"),
        ("http://127.0.0.1:1/software.cfg", "private-address"),
        ("http://169.254.169.254/latest/meta-data", "private-address"),
        ("ftp://example.org/x", "invalid-url"),
    ],
)
def test_a_release_from_where_it_must_not_come(
    operator: Client, node: tuple[str, Client], url: str, reference: str
) -> None:
    with pytest.raises(Exception) as caught:
        operator.supply(node[0], url)
    assert getattr(caught.value, "reference", "") == reference
