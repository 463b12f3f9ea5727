"""Our node of a real slapproxy, which has no events, no certificates and no generations: it works all the same."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from slapos.model.errors import HyperopenxError
from slapos.node import operations
from slapos.node.config import NodeConfig, load_config
from slapos.node.format import deformat_node
from slapos.slap.slap import ComputerPartition, slap
from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, Started, start
from slapos.system.proctable import end_tree
from slapos.testing.nodes import own_numbers
from slapos.testing.peers import SlapProxy
from slapos.testing.waiting import wait_for

RELEASES = Path(__file__).parents[1] / "cases" / "releases"
NODE = "local_computer"
POLL_SECONDS = 3


class OurNode:
    """A node made from a ``slapos.cfg`` as the field writes it, without a word of ours but where its files lie."""

    def __init__(self, proxy: SlapProxy) -> None:
        self.proxy = proxy
        self.directory = Path(tempfile.mkdtemp(prefix="hoxf"))
        self.directory.chmod(0o755)
        shutil.copytree(RELEASES, self.directory / "releases")
        self.config: NodeConfig = self._configured()
        self.daemon: Started | None = None

    def _configured(self) -> NodeConfig:
        number, prefix = own_numbers()
        path = self.directory / "slapos.cfg"
        path.write_text(
            f"[slapos]\nmaster_url = {self.proxy.url}/\ncomputer_id = {NODE}\n"
            f"software_root = {self.directory}/software\ninstance_root = {self.directory}/instance\n"
            f"key_file = /etc/opt/slapos/ssl/computer.key\ncert_file = /etc/opt/slapos/ssl/computer.crt\n"
            "software_min_free_space = 1K\ninstance_min_free_space = 1K\n"
            f"[slapformat]\npartition_amount = 5\nname_prefix = {prefix}\nnode_number = {number}\n"
            "interface_name = lo\ncreate_tap = False\n"
            f"[hyperopenx]\npoll_period = {POLL_SECONDS}\nresync_period = 60\n"
        )
        return load_config(str(path))

    @property
    def release(self) -> str:
        return str(self.directory / "releases" / "hello" / "software.cfg")

    def start(self) -> Self:
        command = [sys.executable, "-m", "slapos.node.main", "--cfg", str(self.directory / "slapos.cfg")]
        log = str(self.directory / "daemon.log")
        self.daemon = start(command, launch=Launch(environment=CLEAN_ENVIRONMENT), output=log)
        assert operations.wait_for_daemon(self.config), self.log()
        return self

    def kill(self) -> None:
        """The daemon alone; services go on."""
        if self.daemon is not None:
            self.daemon.popen.kill()
            self.daemon.popen.wait()
            self.daemon = None

    def log(self) -> str:
        return (self.directory / "daemon.log").read_text(errors="replace")[-6000:]

    def partitions(self) -> dict[str, dict[str, Any]]:
        return {item["partition"]: item for item in operations.status(self.config)["partitions"]}

    def busy(self) -> list[str]:
        return [name for name, item in self.partitions().items() if item["wanted"] != "free"]

    def __enter__(self) -> Self:
        operations.format_node(self.config)
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.daemon is not None:
            end_tree(self.daemon.pid)
            self.daemon.popen.wait()
        with contextlib.suppress(HyperopenxError):
            operations.stop_services(self.config, timeout=20.0)
        deformat_node(self.config)
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture(scope="module")
def proxy() -> Iterator[SlapProxy]:
    with SlapProxy(computer_id=NODE) as made:
        yield made


@pytest.fixture(scope="module")
def node(proxy: SlapProxy) -> Iterator[OurNode]:
    with OurNode(proxy) as made:
        yield made


@pytest.fixture(scope="module")
def person(proxy: SlapProxy) -> slap:
    """The classic library, as a script of the field uses it."""
    connection = slap()
    connection.initializeConnection(proxy.url, slapgrid_rest_uri=proxy.rest_url)
    return connection


@pytest.fixture(scope="module")
def supplied(person: slap, node: OurNode) -> str:
    person.registerSupply().supply(node.release, NODE)
    wait_for(lambda: built(node), 60, "the release is built")
    return node.release


def built(node: OurNode) -> bool:
    return any(item["outcome"] == "done" for item in operations.status(node.config)["releases"])


def order(person: slap, release: str, title: str, kind: str = "default", **more: Any) -> ComputerPartition:
    return person.registerOpenOrder().request(release, title, **{"software_type": kind, **more})


def published(
    person: slap, release: str, title: str, until: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """What it publishes, once it does; with ``until`` once it is that."""

    def look() -> dict[str, Any]:
        return order(person, release, title, **more).getConnectionParameterDict()

    return wait_for(
        look, 90, f"{title} published", until=lambda found: bool(found) if until is None else found == until
    )


def connection(person: slap, release: str, title: str, kind: str = "default", **more: Any) -> dict[str, Any]:
    """What it publishes, once it serves there."""
    found = published(person, release, title, software_type=kind, **more)
    wait_for(lambda: answers(found["url"]), 30, f"{title} serves")
    return found


def page(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


def answers(url: str) -> bool:
    try:
        return bool(page(url))
    except OSError:
        return False


def test_the_field_s_configuration_is_enough_and_the_proxy_knows_our_partitions(node: OurNode, person: slap) -> None:
    found = person.registerComputer(NODE).getComputerPartitionList()
    assert [item.getId() for item in found] == [f"slappart{index}" for index in range(5)]
    assert {item.getState() for item in found} == {"destroyed"}
    assert node.config.client_config.foreign


def test_release_is_built_and_an_order_is_served(person: slap, node: OurNode, supplied: str) -> None:
    hostile = "<&> ${buildout:directory} {{ }} é 😀\n"
    url = connection(person, supplied, "one", partition_parameter_kw={"text": hostile})["url"]
    assert page(url)["text"] == hostile
    partition = order(person, supplied, "one", partition_parameter_kw={"text": hostile}).getId()
    assert "serving" in node.partitions()[partition]["sentence"] or node.partitions()[partition]["run"] == "done"


def test_a_change_is_seen_by_polling_and_only_reloads(person: slap, node: OurNode, supplied: str) -> None:
    url = connection(person, supplied, "one")["url"]
    wait_for(lambda: page(url)["text"] == "hello", 30, "the page has its own text")
    before = page(url)
    order(person, supplied, "one", partition_parameter_kw={"text": "changed"})
    wait_for(lambda: page(url)["text"] == "changed", 30, "the new text is served")
    assert page(url)["pid"] == before["pid"]


def test_an_instance_requests_another_one_and_gets_what_it_publishes(
    person: slap, node: OurNode, supplied: str
) -> None:
    url = connection(person, supplied, "family", "parent", partition_parameter_kw={"text": "of the child"})["url"]
    assert page(url)["text"] == "of the child"
    computer = person.registerComputer(NODE)
    titles = {
        item.getInstanceParameterDict().get("instance_title"): item.getInstanceParameterDict()["root_instance_title"]
        for item in computer.getComputerPartitionList()
        if item.getState() == "started"
    }
    assert titles == {"one": "one", "family": "family", "child": "family"}


def test_a_host_serves_shared_instances(person: slap, node: OurNode) -> None:
    """Of a person and of an instance; what the host publishes for each comes back to who asked."""
    release = str(node.directory / "releases" / "shared" / "software.cfg")
    person.registerSupply().supply(release, NODE)
    order(person, release, "host")
    mine: dict[str, Any] = {"shared": True, "partition_parameter_kw": {"question": "é?"}}
    assert published(person, release, "mine", **mine) == {"answer": "for é?"}
    asker: dict[str, Any] = {"software_type": "asker", "partition_parameter_kw": {"question": "2"}}
    assert published(person, release, "asker", **asker) == {"answer": "for 2"}
    published(person, release, "host", until={"served": "2"})
    for title, kind in (("asker", "asker"), ("host", "default")):
        order(person, release, title, kind, state="destroyed")
    wait_for(lambda: len(node.busy()) == 3, 60, "they are gone")


def test_what_runs_goes_on_without_the_master_and_without_the_daemon(
    proxy: SlapProxy, person: slap, node: OurNode, supplied: str
) -> None:
    url = connection(person, supplied, "one", partition_parameter_kw={"text": "changed"})["url"]
    pid = page(url)["pid"]
    proxy.stop()
    try:
        node.kill()
        node.start()  # it knows from its disk what is wanted
        wait_for(lambda: len(node.busy()) == 3, 20, "the wanted state is known")
        assert page(url)["pid"] == pid
    finally:
        proxy.start()
    order(person, supplied, "one", partition_parameter_kw={"text": "after"})
    wait_for(lambda: page(url)["text"] == "after", 60, "the change is seen once the master is back")
    assert page(url)["pid"] == pid


def test_rounds_by_hand(proxy: SlapProxy, person: slap, node: OurNode, supplied: str) -> None:
    """As with the field's node: one round, its reports delivered; without the master, what was known last."""
    url = connection(person, supplied, "one", partition_parameter_kw={"text": "after"})["url"]
    partition = order(person, supplied, "one", partition_parameter_kw={"text": "by hand"}).getId()
    node.kill()
    try:
        posts = proxy.log().count("POST /startedComputerPartition")
        (found,) = operations.run_once(node.config, "instance", only=[partition])
        assert (found["subject"], found["settled"]) == (partition, "ok"), found
        wait_for(lambda: page(url)["text"] == "by hand", 20, "the round served it")
        assert proxy.log().count("POST /startedComputerPartition") == posts + 1
        proxy.stop()
        (found,) = operations.run_once(node.config, "promise", only=[partition])
        assert found["settled"] == "ok", found
    finally:
        proxy.stop()
        proxy.start()
        node.start()


def test_a_quiet_master_is_asked_seldom(proxy: SlapProxy, node: OurNode, supplied: str) -> None:
    time.sleep(2 * POLL_SECONDS)
    before = proxy.log().count("getFullComputerInformation")
    posts = proxy.log().count("POST ")
    time.sleep(4 * POLL_SECONDS)
    asked = proxy.log().count("getFullComputerInformation") - before
    assert 2 <= asked <= 9, f"{asked} times in {4 * POLL_SECONDS} s"
    assert proxy.log().count("POST ") == posts, "nothing changed, so nothing is reported"


def test_stopped_means_stopped(person: slap, node: OurNode, supplied: str) -> None:
    url = connection(person, supplied, "one")["url"]
    order(person, supplied, "one", state="stopped")
    wait_for(lambda: not answers(url), 30, "the service is stopped")
    order(person, supplied, "one", state="started")
    wait_for(lambda: answers(url), 30, "it runs again")


def test_destroying_a_root_frees_its_tree_though_the_proxy_first_refuses(
    person: slap, node: OurNode, supplied: str
) -> None:
    order(person, supplied, "family", "parent", state="destroyed")
    order(person, supplied, "one", state="destroyed")
    wait_for(lambda: node.busy() == [], 90, "all partitions are free")
    states = {item.getState() for item in person.registerComputer(NODE).getComputerPartitionList()}
    assert states == {"destroyed"}
    for name in node.config.partition_names:
        assert os.listdir(node.config.partition_directory(name)) == [".slapos-resource"]


def test_a_freed_partition_serves_the_next_one_of_the_same_guid(person: slap, node: OurNode, supplied: str) -> None:
    """A slapproxy names instances by their partition, so the next one has the guid of the destroyed."""
    url = connection(person, supplied, "again", partition_parameter_kw={"text": "second life"})["url"]
    assert page(url)["text"] == "second life"
    order(person, supplied, "again", state="destroyed")
    wait_for(lambda: node.busy() == [], 60, "it is gone again")


def test_a_release_that_is_not_wished_goes(person: slap, node: OurNode, supplied: str) -> None:
    for release in person.registerComputer(NODE).getSoftwareReleaseList():
        person.registerSupply().supply(release.getURI(), NODE, "destroyed")
    look = lambda: person.registerComputer(NODE).getSoftwareReleaseList()  # noqa: E731
    wait_for(look, 60, "the proxy has forgotten all", until=lambda found: found == [])
    assert not list((node.directory / "software").glob("[0-9a-f]" * 32))
