"""Ctrl-C at any moment: the command ends at once and says so, and the same command again ends well."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slapos.build.release import release_directory
from slapos.model.states import Health
from slapos.node import operations
from slapos.node.config import load_config
from slapos.node.format import deformat_node
from slapos.system.proctable import environment_of, process_table
from slapos.testing.master import free_port
from slapos.testing.nodes import own_numbers
from slapos.testing.waiting import wait_for
from tests.functional.bad_input.harness import Bench, Person, Said, end
from tests.functional.node.harness import RealNode, page

SEED = int(os.environ.get("HYPEROPENX_TEST_SEED", "20261123"))
ENDED = -signal.SIGINT  # without a word: the program was not loaded yet
PATIENCE = 5.0  # seconds from Ctrl-C to the end


def interrupted(person: Person, *words: str, after: float) -> Said:
    """The command, interrupted ``after`` seconds as a terminal does it: SIGINT to the whole group."""
    process = person.begin(*words, plain=True)
    time.sleep(after)
    begin = time.monotonic()
    said = end(process, signal.SIGINT)
    assert time.monotonic() - begin < PATIENCE, words
    trace = "Traceback" in said.err or "Fatal Python error" in said.err
    if trace and "slapos/cli/main.py" not in said.err:
        return Said(ENDED, said.out, said.err)  # Python itself, before the first line of ours
    assert not trace, (words, after, said)
    assert said.code in (0, 75, 130, ENDED), (words, after, said)  # 0 and 75: it was done before
    return said


def moments(count: int, longest: float, name: str) -> list[float]:
    """Random, the same for a seed; the first lies while the command is still starting."""
    chance = random.Random(f"{SEED} {name}")
    return [0.2, *(chance.uniform(0.3, longest) for _ in range(count - 1))]


def test_order_that_is_waited_for(bench: Bench) -> None:
    words = ("request", "hasty", bench.hello, "--parameters", "text=asked", "--wait")
    codes = [interrupted(bench.person, *words, after=after).code for after in moments(5, 2.0, "order")]
    assert 130 in codes
    said = bench.person.json(*words)
    assert said.code == 0, said.err
    assert [item.title for item in bench.operator.roots()].count("hasty") == 1
    assert page(bench.operator.instance(title="hasty"))["text"] == "asked"
    bench.destroy("hasty")


def test_interrupted_wait_says_that_the_order_stands(bench: Bench) -> None:
    process = bench.person.begin("request", "hasty", bench.hello, "--sla", "planet=mars", "--wait", plain=True)
    deadline = time.monotonic() + 30
    while not any(item.title == "hasty" for item in bench.operator.roots()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    said = end(process, signal.SIGINT)
    assert said.code == 130
    assert "Interrupted" in said.err
    assert "the order stands" in said.err
    assert "slapos service info" in said.err
    bench.destroy("hasty")


@pytest.fixture(scope="module")
def quiet(bench: Bench) -> Iterator[RealNode]:
    """A node without a daemon: all is done by hand."""
    number, prefix = own_numbers()
    options = {"number": number, "name_prefix": prefix, "partition_amount": 1}
    with RealNode(bench.master, bench.directory, name="quiet", **options) as node:
        yield node


SLOW = """[buildout]
parts = whole slow instance.cfg

[whole]
recipe = hyperopenx:template
output = ${buildout:directory}/whole
inline = built once

[slow]
recipe = hyperopenx:cmmi
path = %s
configure-command = true
make-binary = sh -c "mkdir -p @@LOCATION@@"
pre-build = sleep %s

[instance.cfg]
recipe = hyperopenx:template
output = ${buildout:directory}/instance.cfg
inline =
  [buildout]
  parts =
"""


def left_of(node: RealNode) -> list[str]:
    """Command lines of what runs of the engine started and did not end."""
    top = str(node.directory)
    found = [pid for pid, process in process_table().items() if process.alive]
    return [command_of(pid) for pid in found if environment_of(pid).get("PWD", "").startswith(top)]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def test_round_of_software(bench: Bench, quiet: RealNode) -> None:
    source = bench.directory / "releases" / "slow-source"
    source.mkdir()
    release = bench.new_release("slow", SLOW % (source, 30))
    directory = release_directory(quiet.config.software_root, release)
    person = Person(bench.directory, client_cfg="", node_cfg=quiet.cfg)
    bench.operator.supply(quiet.reference, release)
    words = ("node", "software", "--only", release)
    for after in moments(4, 3.0, "software"):
        assert interrupted(person, *words, after=after).code in (130, ENDED)
        assert left_of(quiet) == []
        assert not Path(directory, ".completed").exists()
    process = person.begin(*words, plain=True)
    wait_for(lambda: any("sleep" in line for line in left_of(quiet)), 30, "the slow part is compiled")
    assert end(process, signal.SIGINT, PATIENCE).code == 130
    assert left_of(quiet) == []
    whole = os.stat(f"{directory}/whole").st_ino
    Path(release).write_text(SLOW % (source, 0))
    said = person.json(*words)
    assert said.data[0]["settled"] == "ok", said.out
    assert os.stat(f"{directory}/whole").st_ino == whole


def test_round_of_instances(bench: Bench, quiet: RealNode) -> None:
    person = Person(bench.directory, client_cfg="", node_cfg=quiet.cfg)
    bench.operator.supply(quiet.reference, bench.hello)
    assert person.slapos("node", "software").code == 0
    bench.operator.request(bench.order("by-hand", sla={"computer_guid": quiet.reference}, text="by hand"))
    for after in moments(5, 3.0, "instances"):
        interrupted(person, "node", "instance", after=after)
    said = person.json("node", "instance")
    assert said.code == 0, said.out
    instance = bench.operator.instance(title="by-hand")
    assert (instance.health, page(instance)["text"]) == (Health.OK, "by hand")
    assert [name for name in operations.service_states(quiet.config) or {}] == [f"{instance.partition}:httpd"]
    bench.operator.request(bench.order("by-hand", state="destroyed"))
    for after in moments(3, 1.5, "destruction"):
        interrupted(person, "node", "instance", after=after)
    assert person.slapos("node", "instance").code == 0
    assert os.listdir(quiet.config.partition_directory("slappart0")) == [".slapos-resource"]


def test_steps_towards_a_site(bench: Bench) -> None:
    """What ``slapos up`` does one after the other, each cut some times."""
    state = bench.directory / "cut-site"
    person = Person(bench.directory, client_cfg=bench.person.environment["SLAPOS_CLIENT_CONFIGURATION"])
    person.environment["HYPEROPENX_STATE"] = str(state)
    master = str(state / "master" / "master.cfg")

    def repeat(*words: str, done: Callable[[], bool] = lambda: False) -> None:
        for after in moments(4, 1.2, words[0] + words[1]):
            if not done():
                interrupted(person, *words, after=after)
        if not done():
            said = person.slapos(*words)
            assert said.code == 0, said.err

    repeat("master", "init", "--port", str(free_port()), "--cfg", master)
    assert person.slapos("master", "init", "--cfg", master).code == 0
    number, prefix = own_numbers()
    before = len(bench.operator.nodes())
    token = bench.person.json("token", "node", "--name", "cut").data["token"]
    words = ["--master-url", bench.master.url, "--master-ca-file", bench.master.ca_file, "--partition-number", "1"]
    words += ["--node-number", str(number), "--name-prefix", prefix, "--token", token]
    config = state / "node" / "cut" / "slapos.cfg"
    repeat("node", "register", "cut", *words, done=config.exists)
    person.environment["SLAPOS_CONFIGURATION"] = str(config)
    try:
        repeat("node", "format")
        nodes = bench.operator.nodes()
        assert len(nodes) == before + 1
        assert nodes[-1].partitions == 1
        repeat("supply", bench.hello, nodes[-1].reference)
        assert person.json("node", "software").data[0]["settled"] == "ok"
    finally:
        deformat_node(load_config(str(config)))
