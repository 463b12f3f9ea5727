"""Forwarding between two masters of ours, over TLS and over the legacy listener, in all three dialects."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from slapos.master.forwarding.plan import OtherMaster
from slapos.model.errors import Conflict, HyperopenxError, NotFound, Refused
from slapos.model.objects import Instance, InstanceReport, InstanceRequest
from slapos.model.states import Health, InstanceState
from slapos.slap.client import Client
from slapos.testing.master import MasterServer, node_format
from slapos.testing.waiting import wait_for
from tests.functional.forwarding.pair import (
    BY_LEGACY,
    BY_TLS,
    DIALECTS,
    HERE,
    SECONDS,
    Dialect,
    Pair,
    add_node,
    structured,
)

RELEASES = {"legacy": BY_LEGACY, "tls": BY_TLS}
DESTROYED, STARTED, STOPPED = InstanceState.DESTROYED, InstanceState.STARTED, InstanceState.STOPPED


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> tuple[str, Dialect]:
    return request.param, DIALECTS[request.param]


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    return RELEASES[request.param]


def test_an_order_is_served_there_changed_there_and_destroyed_there(
    pair: Pair, dialect: tuple[str, Dialect], release: str
) -> None:
    name, ask = dialect
    title = f"life-{name}-{release.split('/')[3]}"
    parameters = structured({"é": [1, None, "<&"]})
    first = ask(pair.near, InstanceRequest(title, release, "kind", parameters))
    there = pair.there(f"user_{title}")
    assert (first.node, first.partition) == (there.node, there.partition) != ("", "")
    assert (there.parameters, there.software_type, there.release) == (parameters, "kind", release)
    assert first.state == "started" and first.connection == {}
    assert pair.near.operator.instance(guid=first.guid).master in (pair.far.url, pair.far.legacy_url)
    pair.far.operator.publish(there.guid, {"url": "https://[2001:db8::1]/?a=1&b=<é>"})
    again = ask(pair.near, InstanceRequest(title, release, "kind", parameters))
    assert again.connection == {"url": "https://[2001:db8::1]/?a=1&b=<é>"}
    assert again.guid == first.guid
    assert pair.there(f"user_{title}").timestamp == there.timestamp, "asking again is no change"
    changed = ask(pair.near, InstanceRequest(title, release, "kind", {"b": "2"}, state=STOPPED))
    now = pair.there(f"user_{title}")
    assert (changed.state, now.state, now.parameters) == ("stopped", STOPPED, {"b": "2"})
    ask(pair.near, InstanceRequest(title, release, "kind", state=DESTROYED))
    assert pair.there(f"user_{title}").state is DESTROYED
    gone = pair.near.operator.instance(guid=first.guid)
    assert (gone.health, gone.master, gone.node) == (Health.DESTROYED, "", "")
    assert title not in {root.title for root in pair.near.operator.roots()}


def test_what_has_no_place_there_is_pending_here_and_served_when_it_has_one(
    pair: Pair, dialect: tuple[str, Dialect]
) -> None:
    name, ask = dialect
    wish = f"capable-{name}"
    request = InstanceRequest(f"waiting-{name}", BY_TLS, sla={"network_guid": wish})
    answer = ask(pair.near, request)
    assert answer.node == ""
    here = pair.near.operator.instance(title=f"waiting-{name}")
    assert here.health is Health.PENDING and "has no place for it yet" in here.reasons[0]
    assert pair.there(f"user_waiting-{name}").sla["network_guid"] == wish
    reference, node = pair.far.client_for_new_node()
    node.format(reference, node_format(1, network=wish))
    pair.far.operator.supply(reference, BY_TLS)
    found = pair.find(f"waiting-{name}", until=lambda instance: bool(instance.node))
    assert (found.node, found.health, found.reasons) == (reference, Health.WORKING, ())
    assert ask(pair.near, request).node == reference


def test_what_is_published_and_reported_there_is_found_without_asking(pair: Pair) -> None:
    pair.near.operator.request(InstanceRequest("watched", BY_TLS))
    there = pair.there("user_watched")
    pair.far.operator.publish(there.guid, {"url": "one"})
    pair.find("watched", until=lambda instance: instance.connection == {"url": "one"})
    report = InstanceReport(there.guid, Health.ERROR, "The disk is full.", "started", there.timestamp)
    pair.far.operator.report(there.node, [report])
    broken = pair.find("watched", until=lambda instance: instance.health is Health.ERROR)
    assert "The disk is full." in broken.sentence and pair.far.url in broken.sentence
    pair.far.operator.publish(there.guid, {"url": "two"})
    pair.far.operator.report(there.node, [InstanceReport(there.guid, Health.OK, "All is well.", "started")])
    pair.find("watched", until=lambda instance: (instance.health, instance.connection) == (Health.OK, {"url": "two"}))
    said = [event.sentence for event in pair.near.operator.history(broken.guid)]
    assert [line for line in said if line.startswith("Published")] == ["Published: url."] * 2


@pytest.fixture(scope="module")
def roots(pair: Pair) -> Iterator[tuple[tuple[Instance, Client], tuple[Instance, Client]]]:
    """Two instances of the near master, each in slappart0 of a node, with their certificates."""
    found = []
    for number in range(2):
        node, client = add_node(pair.near, HERE, partitions=3)
        instance = pair.near.operator.request(InstanceRequest(f"root{number}", HERE, sla={"computer_guid": node}))
        assert (instance.node, instance.partition) == (node, "slappart0")
        found.append((instance, pair.near.client_for_instance(instance.guid, client)))
    yield found[0], found[1]


def test_a_child_is_served_there_and_its_requester_is_told(
    pair: Pair, roots: tuple[tuple[Instance, Client], tuple[Instance, Client]]
) -> None:
    (root, client), (_, other_client) = roots
    order = InstanceRequest("db", BY_LEGACY)
    child = client.request(order)
    assert (child.root_guid, child.requester_guid) == (root.guid, root.guid)
    there = pair.there("slappart0_db")
    assert (there.node, there.partition) == (child.node, child.partition)
    other_client.request(order)
    assert "slappart0-2_db" in pair.titles_there(), "the same title in another tree is another instance"
    before = pair.near.operator.instance(guid=root.guid).timestamp
    pair.far.operator.publish(there.guid, {"url": "sql://there"})
    child = wait_for(
        lambda: client.instance(guid=child.guid), SECONDS, "the child has its url", until=lambda it: bool(it.connection)
    )
    assert child.connection == {"url": "sql://there"}
    assert pair.near.operator.instance(guid=root.guid).timestamp > before, "the requester is processed again"
    assert client.request(order).connection == {"url": "sql://there"}


def test_a_tree_that_stops_and_ends_takes_what_is_served_elsewhere_with_it(
    pair: Pair, roots: tuple[tuple[Instance, Client], tuple[Instance, Client]]
) -> None:
    root, client = roots[1]
    client.request(InstanceRequest("cache", BY_LEGACY))
    for state in (STOPPED, STARTED):
        pair.near.operator.request(InstanceRequest(root.title, HERE, state=state))
        wait_for(
            lambda: pair.there("slappart0_cache"),
            SECONDS,
            f"it is {state}",
            until=lambda it, wanted=state: it.state is wanted,
        )
    pair.near.operator.request(InstanceRequest(root.title, HERE, state=DESTROYED))
    wait_for(lambda: pair.there("slappart0_cache"), SECONDS, "it ends", until=lambda it: it.state is DESTROYED)
    wait_for(
        lambda: [each.instance.title for each in pair.near.operator.tree(guid=root.guid).children],
        SECONDS,
        "nothing of the tree is left but what the node holds",
        until=lambda titles: titles == [],
    )


def test_a_shared_instance_is_served_by_a_host_there(pair: Pair, dialect: tuple[str, Dialect]) -> None:
    name, ask = dialect
    pair.far.operator.request(InstanceRequest(f"host-{name}", BY_TLS, f"web-{name}"))
    host = pair.there(f"host-{name}")
    answer = ask(pair.near, InstanceRequest(f"site-{name}", BY_TLS, f"web-{name}", {"url": "x"}, shared=True))
    there = pair.there(f"user_site-{name}")
    assert there.shared and (answer.node, answer.partition) == (host.node, host.partition)
    pair.far.operator.publish(there.guid, {"domain": "x.example.org"})
    pair.find(f"site-{name}", until=lambda instance: instance.connection == {"domain": "x.example.org"})
    ask(pair.near, InstanceRequest(f"site-{name}", BY_TLS, f"web-{name}", shared=True, state=DESTROYED))
    assert f"user_site-{name}" not in pair.titles_there()


def test_the_sla_names_the_master_whatever_the_release(pair: Pair, dialect: tuple[str, Dialect]) -> None:
    name, ask = dialect
    for title, url in ((f"named-{name}", pair.far.url), (f"slash-{name}", f"{pair.far.url}/")):
        ask(pair.near, InstanceRequest(title, HERE, sla={"master_url": url}))
        assert "master_url" not in pair.there(f"user_{title}").sla
    here = [pair.near.url, pair.near.legacy_url + "/", pair.near.url.replace("127.0.0.1", "localhost")]
    for number, url in enumerate(here):
        answer = ask(pair.near, InstanceRequest(f"mine{number}-{name}", BY_TLS, sla={"master_url": url}))
        assert answer.node == "" and f"user_mine{number}-{name}" not in pair.titles_there()
        reasons = pair.near.operator.instance(title=f"mine{number}-{name}").reasons
        assert reasons and "not known here" not in " ".join(reasons)


STATUSES = {"own": (NotFound, Conflict), "json-rpc": (Refused, Refused), "xml": (NotFound, Conflict)}


def test_refusals_have_the_status_of_the_dialect_and_leave_nothing(pair: Pair, dialect: tuple[str, Dialect]) -> None:
    name, ask = dialect
    unknown, conflict = STATUSES[name]
    before = pair.titles_there(), {root.title for root in pair.near.operator.roots()}
    with pytest.raises(unknown, match=r"no other master|404"):
        ask(pair.near, InstanceRequest("lost", HERE, sla={"master_url": "http://unknown.example.org"}))
    chain = " ".join(f"m{number}" for number in range(8))
    with pytest.raises(conflict, match=r"circle|409"):
        ask(pair.near, InstanceRequest("round", BY_TLS, sla={"hyperopenx_forwarded_by": chain}))
    with pytest.raises(HyperopenxError):
        ask(pair.near, InstanceRequest("never", BY_TLS, state=DESTROYED))
    assert (pair.titles_there(), {root.title for root in pair.near.operator.roots()}) == before


def test_what_the_other_master_refuses_is_refused_here_and_can_be_corrected(pair: Pair) -> None:
    pair.far.operator.request(InstanceRequest("user_taken", BY_TLS, shared=True))
    with pytest.raises(Conflict, match="refuses it") as caught:
        pair.near.operator.request(InstanceRequest("taken", BY_TLS))
    assert caught.value.context["master"] == pair.far.url + "/"
    assert "kind-is-fixed" in caught.value.message
    with pytest.raises(NotFound):
        pair.near.operator.instance(title="taken")
    assert pair.near.operator.request(InstanceRequest("taken", BY_TLS, shared=True)).master == pair.far.url


def test_who_may_not_order_here_has_nothing_ordered_there(pair: Pair) -> None:
    before = pair.titles_there()
    node, client = pair.near.client_for_new_node()
    for asking in (client, pair.near.client()):
        with pytest.raises(Refused):
            asking.request(InstanceRequest("stolen", BY_TLS))
    with pytest.raises(HyperopenxError):
        pair.near.operator.request(InstanceRequest("x" * 201, BY_TLS))
    with pytest.raises(HyperopenxError):
        pair.near.operator.request(InstanceRequest("control", BY_TLS, parameters={"a": "\x00"}))
    assert pair.titles_there() == before
    assert node


def test_where_it_is_served_does_not_change_by_an_order(pair: Pair) -> None:
    pair.near.operator.request(InstanceRequest("settled", BY_TLS))
    again = pair.near.operator.request(InstanceRequest("settled", HERE, parameters={"a": "1"}))
    assert again.master == pair.far.url and pair.there("user_settled").release == HERE
    with pytest.raises(Conflict, match="already"):
        pair.near.operator.request(InstanceRequest("settled", HERE, sla={"master_url": pair.far.legacy_url}))
    node, _ = add_node(pair.near, HERE, partitions=1)
    placed = pair.near.operator.request(InstanceRequest("placed", HERE, sla={"computer_guid": node}))
    assert pair.near.operator.request(InstanceRequest("placed", BY_TLS)).node == placed.node
    assert "user_placed" not in pair.titles_there()


def test_asked_as_an_instance_there_it_is_in_the_tree_of_that_one(pair: Pair, tmp_path: Path) -> None:
    parent = pair.far.operator.request(InstanceRequest("parent", BY_LEGACY, sla={"project_guid": "legacy"}))
    names = {node.reference: node.name for node in pair.far.operator.nodes()}
    other = OtherMaster(
        url=pair.far.legacy_url, releases=(BY_LEGACY,), node=names[parent.node], partition=parent.partition
    )
    with MasterServer(tmp_path / "as-instance", other_masters=(other,)) as near:
        answer = near.operator.request(InstanceRequest("below", BY_LEGACY))
        assert answer.master == pair.far.legacy_url
        (child,) = pair.far.operator.tree(guid=parent.guid).children
        assert (child.instance.title, child.instance.requester_guid) == ("user_below", parent.guid)
        assert "source_instance_id" not in child.instance.sla
        near.operator.request(InstanceRequest("below", BY_LEGACY, state=DESTROYED))
        assert pair.far.operator.instance(guid=child.instance.guid).state is DESTROYED


def test_two_orders_at_once_are_one_instance_there(pair: Pair) -> None:
    order = InstanceRequest("together", BY_LEGACY)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: pair.near.operator.request(order), range(16)))
    assert len({instance.guid for instance in found}) == 1
    assert {title for title in pair.titles_there() if "together" in title} == {"user_together"}


def test_a_new_title_here_leaves_the_one_there(pair: Pair) -> None:
    first = pair.near.operator.request(InstanceRequest("old-name", BY_TLS))
    pair.near.operator.rename(first.guid, "new-name")
    second = pair.near.operator.request(InstanceRequest("old-name", BY_TLS))
    assert pair.near.operator.request(InstanceRequest("new-name", BY_TLS)).guid == first.guid != second.guid
    assert {title for title in pair.titles_there() if "-name" in title} == {"user_old-name", "user-2_old-name"}
