"""The peers themselves, among each other: what our tests find with them is not their harness."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from slapos.testing.peers import PeerMachine, RealCommand, RealNode, SlapProxy
from slapos.testing.waiting import wait_for

RELEASE = "/nowhere/software.cfg"


@pytest.fixture(scope="module")
def proxy() -> Iterator[SlapProxy]:
    with SlapProxy(products={"hello": RELEASE}) as made:
        yield made


@pytest.fixture(scope="module")
def node(proxy: SlapProxy) -> Iterator[RealNode]:
    with RealNode(proxy.url) as made:
        assert made.format().code == 0, made.log()
        yield made


@pytest.fixture(scope="module")
def slapos(proxy: SlapProxy, node: RealNode) -> Iterator[RealCommand]:
    with RealCommand(proxy.url, rest_url=proxy.rest_url) as made:
        yield made


def test_programs_run_as_an_ordinary_user_and_see_our_directory(tmp_path: Path) -> None:
    (tmp_path / "given").write_text("shown")
    os.chmod(tmp_path, 0o755)
    with PeerMachine() as machine:
        machine.write("own", "mine")
        done = machine.run("sh", "-c", "id -un; pwd; cat own; cat given; echo there > new; touch /etc/new")
        assert done.text.startswith(f"peer\n{machine.directory}\nmine"), done.text
        assert "No such file" in done.text and "Permission denied" in done.text
        assert machine.read("new") == "there\n"
        assert machine.run("slapos", "--version").text.startswith("slapos 1.26.1 ")
        assert machine.run("sh", "-c", "exit 3").code == 3


def test_what_was_left_running_ends_with_its_machine() -> None:
    with PeerMachine() as machine:
        left = "setsid env -i sleep 1000 </dev/null >/dev/null 2>&1 &"
        assert machine.run("sh", "-c", left).code == 0
        found = wait_for(
            machine.processes, 20, "it sleeps", until=lambda seen: [process.name for process in seen] == ["sleep"]
        )
    assert not any(os.path.exists(f"/proc/{process.pid}/exe") for process in found)
    assert not os.path.exists(machine.directory)


def test_proxy_keeps_its_file_and_port_over_a_restart(node: RealNode, proxy: SlapProxy) -> None:
    before = requests.get(f"{proxy.url}/getFullComputerInformation?computer_id=local_computer", timeout=10)
    run = requests.get(f"{proxy.url}/getRunId", timeout=10).text
    proxy.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{proxy.url}/getRunId", timeout=10)
    proxy.start()
    after = requests.get(f"{proxy.url}/getFullComputerInformation?computer_id=local_computer", timeout=10)
    assert "slappart2" in before.text
    assert before.text == after.text
    assert requests.get(f"{proxy.url}/getRunId", timeout=10).text != run


def test_command_line_talks_to_the_proxy(slapos: RealCommand) -> None:
    ordered = slapos("request", "first", "product.hello", "--parameters", "a=b")
    assert ordered.code == 0 and "State is : started." in ordered.text, ordered.text
    listed = slapos("service list")
    assert listed.code == 0 and RELEASE in listed.text, listed.text
    done = slapos.console("print('partition', request(product.hello, 'second').getId())")
    assert "partition slappart1" in done.text, done.text


def test_node_says_what_cannot_be(slapos: RealCommand, node: RealNode) -> None:
    assert slapos("supply", RELEASE, "local_computer").code == 0
    done = node("software")
    assert done.code == 1, done.text
    assert RELEASE in done.text
