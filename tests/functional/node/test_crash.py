"""SIGKILL at every kind of action, before and during it: the next round goes on, nothing runs twice."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.model.states import Health, SupplyReport
from slapos.node import operations
from slapos.node.plan import Kind
from slapos.system.processes import Launch, run
from slapos.system.proctable import process_table
from slapos.testing.waiting import wait_for
from tests.functional.node.harness import RealNode, Site, page, pages_answer

CUT = str(Path(__file__).with_name("cut.py"))
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module")
def quiet(site: Site) -> Iterator[RealNode]:
    """A node without daemon: the rounds of the test are all that happens."""
    with RealNode(site.master, site.directory, name="quiet") as node:
        yield node


def cut(node: RealNode, kind: Kind, seconds: float) -> bool:
    """One round that is killed at ``kind``; whether it was reached."""
    done = run([sys.executable, CUT, node.cfg, kind, str(seconds)], launch=Launch(environment=ENVIRONMENT), timeout=60)
    assert done.code in (0, -9), done.text
    return done.code == -9


def go_on(node: RealNode, kind: operations.OnceKind = "instance") -> None:
    """Rounds until nothing is left to do, as the daemon would."""

    def settled() -> bool:
        return all(item["settled"] == "ok" for item in operations.run_once(node.config, kind))

    wait_for(settled, 40, "the rounds settle")


def servers(node: RealNode) -> int:
    """How many processes of the service run."""
    count = 0
    for process in process_table().values():
        try:
            words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        count += process.alive and b"serve" in words and any(str(node.directory).encode() in word for word in words)
    return count


def test_build(site: Site, quiet: RealNode) -> None:
    site.operator.supply(quiet.reference, site.release)
    assert cut(quiet, Kind.BUILD, 0.0)
    assert cut(quiet, Kind.BUILD, 0.1)
    go_on(quiet, "software")
    site.wait_for_release(quiet, SupplyReport.AVAILABLE)


STARTING = [Kind.PREPARE, Kind.CERTIFY, Kind.WRITE, Kind.RUN, Kind.ADD, Kind.PROMISES]

ENDING = [Kind.PRERM, Kind.STOP, Kind.WIPE, Kind.SCAN, Kind.FORGET]


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_start_change_destroy(site: Site, quiet: RealNode, seconds: float) -> None:
    title = f"cut-{seconds}"
    site.order(title, node=quiet, text="first")
    reached = [(kind, cut(quiet, kind, seconds)) for kind in STARTING]
    go_on(quiet)
    instance = site.wait(title)
    first = pages_answer(instance, text="first")
    assert servers(quiet) == 1
    for kind, changes in ((Kind.RELOAD, {"text": "second"}), (Kind.RESTART, {"text": "second", "greeting": "hi"})):
        site.order(title, node=quiet, **changes)
        reached.append((kind, cut(quiet, kind, seconds)))
        go_on(quiet)
        latest = pages_answer(instance, **changes)
        assert servers(quiet) == 1
    assert latest["pid"] != first["pid"]
    site.order(title, node=quiet, state="destroyed")
    reached += [(kind, cut(quiet, kind, seconds)) for kind in ENDING]
    go_on(quiet)
    assert servers(quiet) == 0
    assert os.listdir(quiet.partition(instance)) == [".slapos-resource"]
    wait_for(lambda: site.operator.node(quiet.reference).busy == 0, 10, "the master has the partition back")
    assert [kind for kind, was in reached if not was] == []


def test_daemon_killed_at_random_moments(site: Site, node: RealNode) -> None:
    chance = random.Random(20261123)
    site.order("restless", node=node, text="0")
    instance = site.wait("restless")
    for number in range(1, 7):
        site.order("restless", node=node, text=str(number), greeting=str(number // 3))
        time.sleep(chance.uniform(0.0, 0.5))
        node.kill()
        node.start()
    pages_answer(instance, text="6", greeting="2")
    site.wait("restless", sentence="serving")
    assert servers(node) == 1


def test_warm_server_killed(site: Site, node: RealNode) -> None:
    assert node.daemon is not None
    for number in range(2):
        for process in process_table().values():
            if process.ppid == node.daemon.pid and process.alive and process.pid != node.daemon.pid:
                os.kill(process.pid, 9)
        site.order("restless", node=node, text=f"warm {number}")
        found = site.wait("restless", Health.OK)
        pages_answer(found, text=f"warm {number}")
    assert page(found)["text"] == "warm 1"
