"""Releases that lie nowhere or where they must not, nodes that are not ready, no place: who, why, what now."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from slapos.model.states import SupplyReport
from slapos.node import operations
from slapos.node.config import load_config
from slapos.node.format import deformat_node
from slapos.testing.nodes import own_numbers
from slapos.testing.waiting import wait_for
from tests.functional.bad_input.harness import Bench, Person, Said, open_bench


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """Its own: what other tests leave, nodes that are away included, would be a place for an order."""
    with open_bench(partitions=3) as made:
        yield made


def supply(bench: Bench, release: str, node: str = "") -> Said:
    return bench.person.json("supply", release, node or bench.node.reference)


def wished(bench: Bench) -> list[tuple[str, str]]:
    """Releases of the node."""
    return [(item.release, item.state) for item in bench.operator.node(bench.node.reference).supplies]


@pytest.mark.parametrize(
    ("release", "code", "reference", "words"),
    [
        ("/etc/passwd", 4, "release-location-refused", "lies outside the directories"),
        ("file:///etc/passwd", 4, "release-location-refused", "lies outside the directories"),
        ("{releases}/../master/master.cfg", 4, "release-location-refused", "lies outside the directories"),
        ("{releases}/hello/sotfware.cfg", 3, "release-not-found", "sotfware.cfg does not exist"),
        ("{releases}/hello", 3, "release-not-found", "does not exist"),
        ("http://127.0.0.1:1/software.cfg", 4, "private-address", "127.0.0.1 is a private address"),
        ("http://localhost:1/software.cfg", 4, "private-address", "localhost has only private addresses"),
        ("https://[::ffff:10.0.0.1]/software.cfg", 4, "private-address", "is a private address"),
        ("http://0x7f000001/software.cfg", 4, "private-address", "127.0.0.1"),
        ("gopher://example.org/software.cfg", 2, "invalid-url", "the scheme 'gopher' is not one of"),
        ("https://user:secret@example.org/software.cfg", 2, "invalid-url", "a login in a URL"),
        ("no-such-release", 2, "unknown-release", "no release of the catalogue"),
    ],
)
def test_wrong_release_is_not_supplied(bench: Bench, release: str, code: int, reference: str, words: str) -> None:
    before = wished(bench)
    said = supply(bench, release.format(releases=bench.directory / "releases"))
    assert (said.code, said.error["reference"]) == (code, reference)
    assert words in said.error["message"]
    assert said.error["hint"]
    if reference != "unknown-release":
        assert said.error["context"]["field"] == "release"
    assert "secret" not in said.err.replace(release, "")
    assert wished(bench) == before


def test_redirects_lead_nowhere_else(bench: Bench) -> None:
    """A public address is not to be had here; that the private one behind a redirect is judged, unit tests see."""
    said = supply(bench, "http://169.254.169.254/latest/meta-data")
    assert (said.code, said.error["reference"]) == (4, "private-address")


@pytest.mark.parametrize(
    ("release", "code", "reference"),
    [("/etc/passwd", 4, "release-location-refused"), ("{releases}/none.cfg", 3, "release-not-found")],
)
def test_wrong_release_is_not_ordered(bench: Bench, release: str, code: int, reference: str) -> None:
    said = bench.person.json("request", "nowhere", release.format(releases=bench.directory / "releases"))
    assert (said.code, said.error["reference"]) == (code, reference)
    assert said.error["context"]["field"] == "release"
    assert bench.person.json("service", "info", "nowhere").error["reference"] == "no-such-instance"


def test_unknown_host_is_a_warning_and_then_a_failure(bench: Bench) -> None:
    release = "https://no-such-host.invalid/software.cfg"
    said = bench.person.slapos("supply", release, bench.node.reference)
    assert said.code == 0
    assert "could not look at the release: The name no-such-host.invalid cannot be resolved" in said.err
    error = bench.settled(release, SupplyReport.ERROR).error
    assert error["message"].startswith(f"{release}: Failed to resolve 'no-such-host.invalid'")
    assert bench.person.slapos("remove", release, bench.node.reference).code == 0


def test_unknown_node(bench: Bench) -> None:
    said = supply(bench, bench.hello, "COMP-99")
    assert (said.code, said.error["reference"]) == (3, "no-such-node")
    said = bench.person.json("request", "far", bench.hello, "--sla", "computer_guid=COMP-99")
    assert (said.code, said.error["context"]["reasons"]) == (75, ["There is no node COMP-99 in the project."])
    bench.destroy("far")


@dataclass
class Bare:
    """Somebody at a second computer."""

    person: Person
    reference: str


@pytest.fixture(scope="module")
def bare(bench: Bench) -> Iterator[Bare]:
    """Registered, not formatted; the release is supplied to it."""
    state = bench.directory / "bare"
    token = bench.person.json("token", "node", "--name", "bare").data["token"]
    person = Person(bench.directory, client_cfg=bench.person.environment["SLAPOS_CLIENT_CONFIGURATION"])
    person.environment["HYPEROPENX_STATE"] = str(state)
    words = ["--master-url", bench.master.url, "--master-ca-file", bench.master.ca_file, "--partition-number", "2"]
    number, prefix = own_numbers()
    words += ["--node-number", str(number), "--name-prefix", prefix, "--token", token]
    reference = person.json("node", "register", "bare", *words).data["node"]
    assert person.slapos("supply", bench.hello, reference).code == 0
    person.environment["SLAPOS_CONFIGURATION"] = str(state / "node" / "bare" / "slapos.cfg")
    yield Bare(person, reference)
    config = load_config(person.environment["SLAPOS_CONFIGURATION"])
    operations.stop_services(config)
    deformat_node(config)


def test_token_is_good_once(bench: Bench, bare: Bare) -> None:
    words = ["--master-url", bench.master.url, "--master-ca-file", bench.master.ca_file, "--token", "used"]
    said = bare.person.json("node", "register", "again", *words)
    assert (said.code, said.error["reference"]) == (4, "invalid-token")
    said = bare.person.json("node", "register", "bare", *words)
    assert (said.code, said.error["reference"]) == (5, "already-registered")


def test_node_that_is_not_formatted(bench: Bench, bare: Bare) -> None:
    said = bench.person.json("request", "homeless", bench.hello, "--sla", f"computer_guid={bare.reference}")
    assert (said.code, said.error["context"]["reasons"]) == (75, [f"{bare.reference} is not formatted."])
    assert f"{bare.reference} is not formatted" in bench.info("homeless")["sentence"]
    assert "run 'slapos node format' there" in bench.person.slapos("computer", "info", bare.reference).out
    for kind in ("instance", "promise"):
        done = bare.person.json("node", kind)
        assert (done.code, done.error["reference"]) == (5, "not-formatted"), done
        assert "slapos node format" in done.error["hint"]


def test_no_free_partition(bench: Bench, bare: Bare) -> None:
    busy = [f"tenant-{number}" for number in range(bench.node.config.partition_amount)]
    lost = bench.new_release("lost", "[buildout]\nparts =\n")
    taken = bench.operator.node(bench.node.reference).busy
    for title in busy[taken:]:
        bench.operator.request(bench.order(title))
    said = bench.person.json("request", "late", bench.hello)
    amount = bench.node.config.partition_amount
    assert said.code == 75
    reason = f"2 nodes: 1 is full ({amount}/{amount}), 1 is not formatted."
    assert said.error["context"]["reasons"] == [reason]
    assert reason in bench.info("late")["sentence"]
    shown = bench.person.slapos("service", "info", "late")
    assert (shown.code, shown.out.count(reason)) == (0, 1)
    both = bench.person.json("request", "later", lost)
    assert both.error["context"]["reasons"] == ["2 nodes: 2 lack the release."]
    waited = bench.person.json("request", "late", bench.hello, "--wait", "--timeout", "1")
    assert (waited.code, waited.error["reference"]) == (75, "not-ready")
    assert waited.error["context"]["reasons"] == [reason]

    bench.destroy(busy[-1])
    bench.waits_for("late", health="ok")
    for title in [*busy[taken:-1], "late", "later", "homeless"]:
        bench.operator.request(bench.order(title, state="destroyed"))
    wait_for(lambda: bench.operator.node(bench.node.reference).busy, 60, "all are gone", until=lambda n: n == taken)


def test_formatted_it_serves(bench: Bench, bare: Bare) -> None:
    assert bare.person.slapos("node", "format").code == 0
    assert bare.person.json("node", "software").data[0]["settled"] == "ok"
    bench.operator.request(bench.order("guest", sla={"computer_guid": bare.reference}))
    done = bare.person.json("node", "instance").data
    assert {item["settled"] for item in done} == {"ok"}
    assert bench.info("guest")["health"] == "ok"
    bench.operator.request(bench.order("guest", state="destroyed"))
    assert bare.person.json("node", "instance").code == 0
    assert os.listdir(Path(bare.person.environment["HYPEROPENX_STATE"], "node/bare/instance/slappart0")) == [
        ".slapos-resource"
    ]
