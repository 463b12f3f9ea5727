"""Forwarding from ours to the real slapproxy and from the real slapproxy to ours; circles through one are refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from slapos.master.forwarding.plan import OtherMaster
from slapos.master.legacy import LegacyListener
from slapos.model.errors import HyperopenxError, NotFound, Unavailable
from slapos.model.objects import InstanceRequest
from slapos.model.states import Health, InstanceState
from slapos.slap.field_client import FieldClient
from slapos.testing.master import MasterServer, free_port
from slapos.testing.peers import RealCommand, SlapProxy
from slapos.testing.waiting import wait_for
from slapos.wire import marshal
from tests.functional.forwarding.pair import DIALECTS, Dialect, add_legacy_node, xml_form

RELEASE = "https://example.org/forwarded/software.cfg"
OTHER = "https://example.org/other/software.cfg"
SECONDS = 60.0
DESTROYED = InstanceState.DESTROYED


def add_node(url: str, name: str = "local_computer", partitions: int = 12) -> None:
    """As the node itself does it."""
    places = [
        {
            "reference": f"slappart{number}",
            "address_list": [{"addr": f"127.9.2.{number + 1}", "netmask": "255.255.255.255"}],
            "tap": {"name": "lo"},
        }
        for number in range(partitions)
    ]
    node = {"reference": name, "address": "127.0.0.1", "netmask": "255.0.0.0", "partition_list": places}
    with closing(FieldClient(master_url=url)) as client:
        client.post("loadComputerConfigurationFromXML", {"xml": marshal.dumps(node).decode()})
        client.post("supplySupply", {"url": RELEASE, "computer_id": name, "state": "available"})


def ask_in_xml(url: str, request: InstanceRequest) -> marshal.FieldObject:
    """In the XML dialect, as a person."""
    with closing(FieldClient(master_url=url)) as client:
        answer: marshal.FieldObject = client.post("requestComputerPartition", xml_form(request))
        return answer


class Node:
    """What a node of a slapproxy does for the instances that live on it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def living(self) -> dict[str, marshal.FieldObject]:
        """Title → partition, of those that are busy."""
        with closing(FieldClient(master_url=self.url)) as client:
            computer = client.read("getFullComputerInformation", computer_id="local_computer")
        busy = [each for each in computer.state["_computer_partition_list"] if each.state["_need_modification"]]
        return {each.state["_parameter_dict"]["instance_title"]: each for each in busy}

    def publish(self, title: str, connection: dict[str, str]) -> None:
        self.publish_in(self.living()[title].state["_partition_id"], connection)

    def publish_in(self, partition: str, connection: dict[str, str], shared: str = "None") -> None:
        form: dict[str, str | None] = {
            "computer_id": "local_computer",
            "computer_partition_id": partition,
            "connection_xml": marshal.dumps(connection).decode(),
            "slave_reference": shared,
        }
        with closing(FieldClient(master_url=self.url)) as client:
            client.post("setComputerPartitionConnectionXml", form)


@pytest.fixture(scope="module")
def proxy() -> Iterator[SlapProxy]:
    with SlapProxy() as made:
        add_node(made.url)
        yield made


@pytest.fixture(scope="module")
def master(proxy: SlapProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MasterServer]:
    """Ours, which forwards to the slapproxy."""
    other = OtherMaster(url=proxy.url, releases=(RELEASE,))
    with MasterServer(tmp_path_factory.mktemp("near"), legacy=True, other_masters=(other,)) as made:
        yield made


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> tuple[str, Dialect]:
    return request.param, DIALECTS[request.param]


def test_ours_to_slapproxy_and_back(proxy: SlapProxy, master: MasterServer, dialect: tuple[str, Dialect]) -> None:
    name, ask = dialect
    node, title = Node(proxy.url), f"shop-{name}"
    order = InstanceRequest(title, RELEASE, "web", {"_": '{"é": [1, null]}'})
    answer = ask(master, order)
    there = node.living()[f"user_{title}"]
    assert (answer.node, answer.partition) == ("local_computer", there.state["_partition_id"])
    parameters = there.state["_parameter_dict"]
    assert (parameters["_"], parameters["slap_software_type"]) == ('{"é": [1, null]}', "web")
    here = master.operator.instance(title=title)
    assert (here.health, here.master) == (Health.WORKING, proxy.url)
    node.publish(f"user_{title}", {"url": "https://[2001:db8::1]/?a=1&b=é"})
    found = wait_for(
        lambda: master.operator.instance(title=title),
        SECONDS,
        "the url comes back",
        until=lambda it: bool(it.connection),
    )
    assert (found.connection, found.health) == ({"url": "https://[2001:db8::1]/?a=1&b=é"}, Health.OK)
    before = node.living()[f"user_{title}"].state["_parameter_dict"]["timestamp"]
    assert ask(master, order).connection == found.connection
    assert node.living()[f"user_{title}"].state["_parameter_dict"]["timestamp"] == before, "asking changes nothing"
    ask(master, InstanceRequest(title, RELEASE, "web", {"a": "2"}, state=InstanceState.STOPPED))
    assert node.living()[f"user_{title}"].state["_requested_state"] == "stopped"
    ask(master, InstanceRequest(title, RELEASE, "web", state=DESTROYED))
    assert node.living()[f"user_{title}"].state["_requested_state"] == "destroyed"
    assert master.operator.instance(guid=here.guid).health is Health.DESTROYED


def test_the_sla_names_the_slapproxy(proxy: SlapProxy, master: MasterServer) -> None:
    sla = {"master_url": f"{proxy.url}/", "computer_guid": "local_computer"}
    assert master.operator.request(InstanceRequest("named", OTHER, sla=sla)).node == "local_computer"
    assert Node(proxy.url).living()["user_named"].state["_software_release_document"].arguments[0] == OTHER


def test_a_slapproxy_without_a_place_refuses_and_nothing_is_kept(proxy: SlapProxy, master: MasterServer) -> None:
    with pytest.raises(NotFound, match="refuses it"):
        master.operator.request(InstanceRequest("elsewhere", RELEASE, sla={"computer_guid": "none"}))
    with pytest.raises(NotFound):
        master.operator.instance(title="elsewhere")


def test_the_real_command_orders_through_ours(proxy: SlapProxy, master: MasterServer) -> None:
    """``slapos request`` of SlapOS, asking our legacy listener for what a slapproxy serves."""
    with RealCommand(master.legacy_url) as slapos:
        asked = slapos("request", "cli", RELEASE)
        assert "user_cli" in Node(proxy.url).living(), asked.text
        Node(proxy.url).publish("user_cli", {"url": "http://there"})
        again = slapos("request", "cli", RELEASE)
        assert again.code == 0 and "http://there" in again.text, again.text
        assert "cli" in slapos("service list").text
        info = slapos("service info", "cli")
        assert info.code == 0 and "http://there" in info.text, info.text


def test_a_shared_instance_is_served_by_a_host_of_the_slapproxy(proxy: SlapProxy, master: MasterServer) -> None:
    ask_in_xml(proxy.url, InstanceRequest("host", RELEASE, "frontend"))
    order = InstanceRequest("site", RELEASE, "frontend", {"url": "http://x"}, shared=True)
    answer = master.operator.request(order)
    host = Node(proxy.url).living()["host"]
    assert answer.partition == host.state["_partition_id"]
    served = host.state["_parameter_dict"]["slave_instance_list"]
    assert [each["url"] for each in served] == ["http://x"]
    Node(proxy.url).publish_in(answer.partition, {"domain": "x.example.org"}, served[0]["slave_reference"])
    wait_for(
        lambda: master.operator.instance(guid=answer.guid).connection,
        SECONDS,
        "the domain comes back",
        until=lambda it: it == {"domain": "x.example.org"},
    )


def test_a_slapproxy_that_is_away_and_comes_back(tmp_path: Path) -> None:
    with SlapProxy() as proxy:
        add_node(proxy.url)
        other = OtherMaster(url=proxy.url, releases=(RELEASE,))
        with MasterServer(tmp_path / "near", other_masters=(other,)) as near:
            near.operator.request(InstanceRequest("kept", RELEASE))
            proxy.stop()
            files = near.files
            assert files is not None
            with pytest.raises(Unavailable, match="does not answer"):
                near.client(files.certificate_path, files.key_path, patience=0).request(InstanceRequest("no", RELEASE))
            proxy.start()
            Node(proxy.url).publish("user_kept", {"url": "http://back"})
            found = wait_for(
                lambda: near.operator.instance(title="kept"),
                SECONDS,
                "it is back",
                until=lambda it: bool(it.connection),
            )
            assert found.connection == {"url": "http://back"}
            assert set(Node(proxy.url).living()) == {"user_kept"}


@pytest.fixture(scope="module")
def served_by_ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SlapProxy, MasterServer]]:
    """A slapproxy that forwards to our legacy listener."""
    with MasterServer(tmp_path_factory.mktemp("far"), legacy=True) as far:
        add_legacy_node(far, "far-node", partitions=6, release=RELEASE)
        with SlapProxy(masters={far.legacy_url: {"software_release_list": RELEASE}}) as made:
            add_node(made.url)
            yield made, far


def test_slapproxy_to_ours_and_back(served_by_ours: tuple[SlapProxy, MasterServer]) -> None:
    proxy, far = served_by_ours
    order = InstanceRequest("shop", RELEASE, "web", {"a": "<é&>"})
    answer = ask_in_xml(proxy.url, order)
    there = far.operator.instance(title="user_shop")
    assert (there.parameters, there.software_type, there.sla["source_instance_id"]) == (
        {"a": "<é&>"},
        "web",
        "user_shop",
    )
    assert answer.state["slap_computer_partition_id"] == there.partition
    far.operator.publish(there.guid, {"url": "https://[::1]/?a&b"})
    answer = ask_in_xml(proxy.url, order)
    assert answer.state["_connection_dict"] == {"url": "https://[::1]/?a&b"}
    assert answer.state["_master_url"] == far.legacy_url
    with suppress(HyperopenxError):
        ask_in_xml(proxy.url, InstanceRequest("shop", RELEASE, "web", state=DESTROYED))
    assert far.operator.instance(guid=there.guid).state is DESTROYED


def test_the_real_command_orders_through_a_slapproxy_from_ours(served_by_ours: tuple[SlapProxy, MasterServer]) -> None:
    proxy, far = served_by_ours
    with RealCommand(proxy.url, rest_url=proxy.rest_url) as slapos:
        asked = slapos("request", "cli", RELEASE, "--parameters", "a=1")
        there = far.operator.instance(title="user_cli")
        assert there.parameters == {"a": "1"}, asked.text
        far.operator.publish(there.guid, {"url": "http://ours"})
        again = slapos("request", "cli", RELEASE, "--parameters", "a=1")
        assert "http://ours" in again.text, again.text


def test_a_slapproxy_is_told_that_ours_has_no_place_yet(served_by_ours: tuple[SlapProxy, MasterServer]) -> None:
    proxy, far = served_by_ours
    order = InstanceRequest("later", RELEASE, sla={"capability": "gpu"})
    with pytest.raises(HyperopenxError) as caught:
        ask_in_xml(proxy.url, order)
    assert caught.value.context["status"] == 408
    assert far.operator.instance(title="user_later").health is Health.PENDING


def test_a_slapproxy_names_ours_in_the_sla(served_by_ours: tuple[SlapProxy, MasterServer]) -> None:
    proxy, far = served_by_ours
    order = InstanceRequest("named", OTHER, sla={"master_url": far.legacy_url})
    with pytest.raises(HyperopenxError) as caught:
        ask_in_xml(proxy.url, order)
    assert caught.value.context["status"] == 408, "nobody supplies it there: it waits"
    reasons = far.operator.instance(title="user_named").reasons
    assert "not known here" not in " ".join(reasons)


def test_a_circle_through_a_slapproxy_is_refused(tmp_path: Path) -> None:
    port = free_port()
    ours = f"http://127.0.0.1:{port}"
    with SlapProxy(masters={ours: {"software_release_list": RELEASE}}) as proxy:
        add_node(proxy.url)
        other = OtherMaster(url=proxy.url, releases=(RELEASE,))
        listener = LegacyListener("127.0.0.1", port)
        with MasterServer(tmp_path / "near", insecure_legacy_listener=listener, other_masters=(other,)) as near:
            files = near.files
            assert files is not None
            client = near.client(files.certificate_path, files.key_path, patience=0)
            with pytest.raises(HyperopenxError, match=r"\(status 500\)|500"):
                client.request(InstanceRequest("round", RELEASE))
            with pytest.raises(HyperopenxError):
                ask_in_xml(proxy.url, InstanceRequest("r", RELEASE))
            assert near.operator.roots() == ()
            assert Node(proxy.url).living() == {}
