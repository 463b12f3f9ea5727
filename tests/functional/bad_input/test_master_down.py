"""A master that does not answer: its address is said, writes are repeated without acting twice, nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.model.states import Health
from slapos.testing.master import free_port
from slapos.testing.waiting import wait_for
from tests.functional.bad_input.harness import Bench, Person, end
from tests.functional.bad_input.relay import LosingRelay
from tests.functional.node.harness import page


def person_at(bench: Bench, port: int) -> Person:
    """The same operator, who knows the master under another address."""
    known = Path(bench.person.environment["SLAPOS_CLIENT_CONFIGURATION"])
    other = known.with_name(f"client-{port}.cfg")
    other.write_text(known.read_text().replace(f":{bench.master.config.port}", f":{port}"))
    return Person(bench.directory, client_cfg=str(other), node_cfg=bench.person.environment["SLAPOS_CONFIGURATION"])


@pytest.fixture(scope="module", autouse=True)
def nowhere(bench: Bench) -> Iterator[tuple[int, list[subprocess.Popen[bytes]]]]:
    """An address at which nobody listens, and commands that try it meanwhile: for people, and for programs."""
    port = free_port()
    person = person_at(bench, port)
    yield port, [person.begin("request", "void", bench.hello, plain=True), person.begin("service", "list")]


@pytest.fixture
def down(bench: Bench) -> Iterator[None]:
    """The master is killed; afterwards it is there again."""
    bench.master.kill()
    yield
    if bench.master.process is None:
        bench.master.start()


def test_node_goes_on_with_what_it_knows(bench: Bench, down: None) -> None:
    status = bench.person.slapos("node", "status")
    assert (status.code, bench.master.url in status.out) == (0, True)
    looked = bench.person.slapos("node", "plan")
    assert looked.code == 0
    assert f"The master {bench.master.url} cannot be reached: Connection refused." in looked.err
    assert "The last known state counts." in looked.err


def test_order_survives_that_the_master_comes_up_meanwhile(bench: Bench, down: None) -> None:
    ordered = bench.person.begin("request", "patient", bench.hello, "--wait", plain=True)
    time.sleep(2.5)
    bench.master.start()
    wait_for(bench.operator.roots, 30, "it is ordered")
    bench.master.kill()
    time.sleep(0.5)
    bench.master.start()
    said = end(ordered)
    assert said.code == 0, said.err
    assert f"Waiting for {bench.master.url}" in said.err
    assert page(bench.operator.instance(title="patient"))["text"] == "hello"
    assert [item.title for item in bench.operator.roots()].count("patient") == 1


def test_lost_answer_is_asked_for_again_and_acts_once(bench: Bench) -> None:
    before = len(bench.operator.history(bench.operator.instance(title="patient").guid))
    file = bench.directory / "large.json"
    file.write_text(json.dumps({"greeting": "once", "ballast": "b" * 300_000}))
    with LosingRelay(bench.master.config.port) as relay:
        said = person_at(bench, relay.address).json("request", "patient", bench.hello, "--parameters-file", str(file))
        assert relay.lost == 1
    assert (said.code, said.error["reference"]) == (75, "not-ready")
    instance = bench.operator.instance(title="patient")
    assert instance.parameters["greeting"] == "once"
    changed = [item for item in bench.operator.history(instance.guid)[before:] if item.kind == "requested"]
    assert [item.sentence for item in changed] == ["Changed: parameters."]
    wait_for(lambda: bench.operator.instance(title="patient").health is Health.OK, 30, "it is served")
    assert page(bench.operator.instance(title="patient"))["greeting"] == "once"
    bench.destroy("patient")


def test_nobody_there_is_said_with_the_address(
    bench: Bench, nowhere: tuple[int, list[subprocess.Popen[bytes]]]
) -> None:
    port, (for_people, for_programs) = nowhere
    said = end(for_people)
    assert said.code == 69
    address = f"https://127.0.0.1:{port}"
    assert f"Waiting for {address}" in said.err
    assert f"error unavailable: The master {address} cannot be reached: Connection refused." in said.err
    assert f"→ Check that the master runs and is reachable: curl --insecure {address}/healthz" in said.err
    assert os.linesep.join(said.err.splitlines()[1:]).count("Connection refused") == 2
    error = end(for_programs).error
    assert error["reference"] == "unavailable"
    assert error["context"]["address"].startswith(address)
    assert error["context"]["tries"] > 3
    assert "void" not in [item.title for item in bench.operator.roots()]
