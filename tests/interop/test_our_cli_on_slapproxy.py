"""Our ``slapos`` command with a real slapproxy as its master."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slapos.slap.field_client import FieldClient
from slapos.slap.slap import slap as Classic
from slapos.system.processes import Completed, Launch, run
from slapos.testing.peers import RealCommand, RealNode, SlapProxy

RELEASE = "/nowhere/software.cfg"
PRODUCT = "/product/hello/software.cfg"
NODE = "local_computer"


class Command:
    """``slapos`` with a configuration and a home of the test's own."""

    def __init__(self, directory: Path, proxy: SlapProxy) -> None:
        self.directory = directory
        self.proxy = proxy
        self.configuration = self.write("client.cfg", "[hyperopenx]\ndialect = slap\n")

    def write(self, name: str, more: str = "") -> str:
        path = self.directory / name
        path.write_text(f"[slapos]\nmaster_url = {self.proxy.url}/\n{more}")
        return str(path)

    def __call__(self, *words: str, cfg: str = "") -> Completed:
        program = os.path.join(os.path.dirname(sys.executable), "slapos")
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "HYPEROPENX_STATE": str(self.directory)}
        launch = Launch(directory=str(self.directory), environment=environment)
        return run([program, "--cfg", cfg or self.configuration, *words], launch=launch, timeout=60)

    def data(self, *words: str) -> Any:
        done = self(*words, "--format", "json")
        assert done.code == 0, done.text
        return json.loads(done.text)


@pytest.fixture(scope="module")
def proxy() -> Iterator[SlapProxy]:
    with SlapProxy(computer_id=NODE, products={"hello": PRODUCT}) as made, RealNode(made.url, partitions=5) as node:
        assert node.format().code == 0, node.log()
        yield made


@pytest.fixture(scope="module")
def slapos(proxy: SlapProxy, tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("cli"), proxy)


def values(text: str) -> list[Any]:
    """Every JSON value of an output: the answer and what went wrong come by two ways, in any order."""
    decoder, found, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    return found


def publish(proxy: SlapProxy, partition: str, **values: str) -> None:
    """As the instance there would."""
    connection = Classic()
    connection.initializeConnection(proxy.url)
    connection.registerComputerPartition(NODE, partition).setConnectionDict(values)


def test_supply_and_remove(slapos: Command, proxy: SlapProxy) -> None:
    assert slapos("supply", RELEASE, NODE).code == 0
    (release,) = slapos.data("computer", "info", NODE)["supplies"]
    assert (release["release"], release["state"]) == (RELEASE, "available")
    assert slapos("remove", RELEASE, NODE).code == 0
    (release,) = slapos.data("computer", "info", NODE)["supplies"]
    assert release["state"] == "destroyed"


def test_computers(slapos: Command) -> None:
    listed = slapos("computer", "list")
    assert listed.code == 0
    assert NODE in listed.text and "unknown" in listed.text, "nobody said that it is online"
    (node,) = slapos.data("computer", "list")
    assert (node["reference"], node["partitions"], node["busy"]) == (NODE, 5, 0)
    missing = slapos("computer", "info", "nobody")
    assert missing.code == 3 and "nobody" in missing.text


def test_an_order_is_placed_published_listed_changed_and_destroyed(slapos: Command, proxy: SlapProxy) -> None:
    assert slapos.data("service", "list") == []
    made = slapos("request", "mine", RELEASE, "--parameters", "a=<&>", "b=é 😀", "--format", "json")
    assert made.code == 75, "nothing is published yet"
    (instance,) = [item for item in values(made.text) if "error" not in item or "title" in item]
    assert (instance["node"], instance["parameters"]) == (NODE, {"a": "<&>", "b": "é 😀"})
    publish(proxy, instance["partition"], url="http://[::1]:80/?a&b")
    again = slapos.data("request", "mine")
    assert again["connection"] == {"url": "http://[::1]:80/?a&b"}
    assert again["parameters"] == {"a": "<&>", "b": "é 😀"}, "what is not given stays"
    changed = slapos.data("request", "mine", "--parameters", "c=1", "--state", "stopped")
    assert (changed["parameters"], changed["state"]) == ({"c": "1"}, "stopped")
    info = slapos("service", "info", "mine")
    assert info.code == 0 and "http://[::1]:80/?a&b" in info.text and "stopped" in info.text, info.text
    (listed,) = slapos.data("service", "list")
    assert (listed["title"], listed["release"], listed["state"]) == ("mine", RELEASE, "stopped")
    assert slapos.data("request", "mine", "--state", "destroyed")["state"] == "destroyed"


def test_structured_parameters_and_shared_instances(slapos: Command, proxy: SlapProxy) -> None:
    release = "/another/software.cfg"  # a slapproxy takes any host of the release, also one that ends
    host = slapos("request", "host", release, "--parameters", "n:=[1, null, {}]", "--format", "json")
    assert host.code == 75, host.text
    shared = slapos("request", "part", release, "--shared", "--parameters", "x=y", "--format", "json")
    assert shared.code == 75, shared.text
    client = FieldClient(master_url=proxy.url)
    computer = client.read("getFullComputerInformation", computer_id=NODE)
    hosts = [item.state["_parameter_dict"] for item in computer.state["_computer_partition_list"]
             if item.state.get("_parameter_dict", {}).get("instance_title") == "host"]  # fmt: skip
    assert [json.loads(item["_"]) for item in hosts] == [{"n": [1, None, {}]}]
    assert [item["x"] for item in hosts[0]["slave_instance_list"]] == ["y"]
    info = slapos.data("service", "info", "part")["instance"]
    assert (info["shared"], info["parameters"]) == (True, {"x": "y"})
    with RealCommand(proxy.url, rest_url=proxy.rest_url) as real:
        seen = real("service list")
        assert {"host", "part"} <= set(json.loads(seen.text)), seen.text


def test_a_product_of_the_master_names_a_release(slapos: Command) -> None:
    assert slapos("request", "of-product", "product.hello").code == 75
    assert slapos.data("service", "info", "of-product")["instance"]["release"] == PRODUCT
    unknown = slapos("request", "of-none", "product.none")
    assert unknown.code == 3 and "'none'" in unknown.text, unknown.text


def test_what_does_not_exist_is_not_destroyed_and_not_made(slapos: Command, proxy: SlapProxy) -> None:
    before = slapos.data("computer", "info", NODE)["busy"]
    done = slapos("request", "never", RELEASE, "--state", "destroyed")
    assert done.code == 3, done.text
    assert slapos.data("computer", "info", NODE)["busy"] == before
    assert slapos("service", "info", "never").code == 3


def test_a_full_master_says_so(slapos: Command) -> None:
    done = [slapos("request", f"more{number}", RELEASE, "--format", "json") for number in range(5)]
    assert done[-1].code == 3
    assert "No free computer partition" in done[-1].text, done[-1].text
    assert "no-place" in done[-1].text


def test_plain_http_must_be_wanted(slapos: Command) -> None:
    done = slapos("service", "list", cfg=slapos.write("plain.cfg"))
    assert done.code == 2
    assert "https://" in done.text and "dialect = slap" in done.text, done.text
    wrong = slapos("service", "list", cfg=slapos.write("wrong.cfg", "[hyperopenx]\ndialect = soap\n"))
    assert wrong.code == 2 and "soap" in wrong.text


def test_what_only_our_masters_have_says_so(slapos: Command) -> None:
    done = slapos("token", "node")
    assert done.code == 2 and "slap protocol only" in done.text, done.text


def test_an_absent_master_is_unavailable(slapos: Command, proxy: SlapProxy) -> None:
    proxy.stop()
    try:
        done = slapos("service", "list")
        assert done.code == 69, done.text
    finally:
        proxy.start()
