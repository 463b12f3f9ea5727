"""The life of a site on real components: up, again, change, look, destroy, interrupt, down.

The catalogue holds the release of the node's tests under the name ``website``: nothing is compiled here.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slapos.node.config import load_config
from slapos.node.format import deformat_node
from slapos.system.processes import Completed, Launch, run, start
from slapos.system.proctable import process_table
from slapos.testing.waiting import wait_for

TOP = Path(__file__).parents[3]
UP_SECONDS = 120.0


class Machine:
    """``slapos`` with a state directory and a catalogue of the test's own."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self.catalogue = directory / "catalogue"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HYPEROPENX_STATE": str(self.state),
            "HYPEROPENX_CATALOGUE": str(self.catalogue),
        }
        self.command = [os.path.join(os.path.dirname(sys.executable), "slapos")]

    def slapos(self, *words: str, seconds: float = UP_SECONDS) -> Completed:
        launch = Launch(directory=str(self.state.parent), environment=self.environment)
        return run([*self.command, *words], launch=launch, timeout=seconds)

    def data(self, *words: str) -> Any:
        done = self.slapos(*words, "--format", "json")
        assert done.code == 0, done.text
        return json.loads(done.text)

    def pids(self) -> dict[str, int]:
        """Of every program of the site and every service of its node."""
        found = {item["name"]: item["pid"] for item in self.data("status")["programs"]}
        partitions = self.data("node", "status")["partitions"]
        return found | {
            f"{item['partition']}:{service['name']}": service["pid"]
            for item in partitions
            for service in item["services"]
        }

    def processes(self) -> list[str]:
        """Command lines of all that belongs to the site."""
        found = []
        for pid, process in process_table().items():
            if process.alive and self._is_ours(pid):
                found.append(f"{pid} {Path(f'/proc/{pid}/cmdline').read_bytes()!r}")
        return found

    def _is_ours(self, pid: int) -> bool:
        try:
            known = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False
        return os.fsencode(self.state) in known and pid != os.getpid()


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    directory = Path(tempfile.mkdtemp(prefix="hox-site-"))
    directory.chmod(0o755)
    made = Machine(directory)
    shutil.copytree(TOP / "tests/cases/releases/hello", made.catalogue / "software/website")
    run(["chmod", "-R", "a+rX", str(directory)])
    yield made
    made.slapos("down")
    config = made.state / "node/local/slapos.cfg"
    if config.exists():
        deformat_node(load_config(str(config)))
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def up(machine: Machine) -> str:
    """What the first ``up`` printed."""
    done = machine.slapos("up")
    assert done.code == 0, done.text
    return done.text


def page(machine: Machine) -> dict[str, Any]:
    url = machine.data("service", "info", "website")["instance"]["connection"]["url"]
    with urllib.request.urlopen(url, timeout=5) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def printed_command(text: str, label: str) -> str:
    return next(line.removeprefix(label).strip() for line in text.splitlines() if line.startswith(label))


def test_up_ends_with_a_served_instance(machine: Machine, up: str) -> None:
    assert page(machine)["text"] == "hello"
    for part in ("website", "API", "curl --cacert", "change it", "look at it", "destroy it", "https://127.0.0.1:"):
        assert part in up


def test_again_changes_nothing_in_seconds(machine: Machine, up: str) -> None:
    before = machine.pids()
    files = {
        path: path.stat().st_mtime_ns for path in (machine.state / "site.cfg", machine.state / "master/master.cfg")
    }
    begin = time.monotonic()
    done = machine.slapos("up")
    assert done.code == 0, done.text
    assert time.monotonic() - begin < 20
    assert machine.pids() == before
    assert all(pid for pid in before.values())
    assert files == {path: path.stat().st_mtime_ns for path in files}
    assert "Ordered" not in done.text


def test_status_and_lists_are_json_too(machine: Machine, up: str) -> None:
    status = machine.data("status")
    assert [item["state"] for item in status["programs"]] == ["running", "running"]
    assert machine.data("service", "list")[0]["title"] == "website"
    assert machine.data("computer", "list")[0]["online"] is True
    assert machine.data("node", "plan")
    assert machine.slapos("node").code == 0


def test_change_reaches_the_page(machine: Machine, up: str) -> None:
    done = machine.slapos(
        "request", "website", "website", "--parameters", "text=changed", "greeting=hi ${a:b}", "--wait"
    )
    assert done.code == 0, done.text
    wait_for(lambda: page(machine)["text"], 30, "the page changed", until=lambda text: text == "changed")
    assert page(machine)["greeting"] == "hi ${a:b}"


def test_printed_look_works_as_printed(machine: Machine, up: str) -> None:
    launch = Launch(directory=str(machine.state.parent), environment={"PATH": "/usr/bin:/bin"})
    done = run(["/bin/sh", "-c", printed_command(up, "look at it")], launch=launch)
    assert done.code == 0, done.text
    assert "SOFTINST-1" in done.text


def test_promises_and_rounds_by_hand(machine: Machine, up: str) -> None:
    promises = machine.data("node", "promise")
    assert [item["settled"] for item in promises] == ["ok"]
    assert machine.slapos("node", "instance", "--only", "no-such-thing").code == 2
    assert machine.data("node", "instance", "--only-cp", "slappart0")[0]["settled"] == "ok"
    assert machine.data("node", "supervisorctl", "status")[0]["state"] == "running"


def test_backup_is_made_while_it_runs(machine: Machine, up: str) -> None:
    made = machine.data("master", "backup")
    assert os.path.getsize(made["path"]) == made["bytes"] > 0
    refused = machine.slapos("master", "restore", made["path"])
    assert refused.code == 5
    assert "master-running" in refused.text


def test_killed_supervisor_is_replaced(machine: Machine, up: str) -> None:
    before = machine.pids()
    pid = (
        int((machine.state / "run/site/site.pid").read_text()) if (machine.state / "run/site/site.pid").exists() else 0
    )
    if not pid:
        pytest.skip("the run directory of this machine lies elsewhere")
    os.kill(pid, signal.SIGKILL)
    done = machine.slapos("up")
    assert done.code == 0, done.text
    after = machine.pids()
    assert after["master"] != before["master"]
    assert after["slappart0:httpd"] == before["slappart0:httpd"]


def test_down_ends_everything_and_up_goes_on(machine: Machine, up: str) -> None:
    done = machine.slapos("down")
    assert done.code == 0, done.text
    assert "httpd" in done.text
    assert machine.processes() == []
    assert "Nothing was running." in machine.slapos("down").text
    assert "stopped" in machine.slapos("status").text
    begin = time.monotonic()
    again = machine.slapos("up")
    assert again.code == 0, again.text
    assert time.monotonic() - begin < 60
    assert page(machine)["text"] == "changed"


def test_printed_destroy_works_as_printed(machine: Machine, up: str) -> None:
    launch = Launch(directory=str(machine.state.parent), environment={"PATH": "/usr/bin:/bin"})
    done = run(["/bin/sh", "-c", printed_command(up, "destroy it")], launch=launch, timeout=UP_SECONDS)
    assert done.code == 0, done.text
    partition = machine.state / "node/local/instance/slappart0"
    wait_for(
        lambda: os.listdir(partition), 30, "the partition is empty", until=lambda names: names == [".slapos-resource"]
    )


def test_interrupted_up_says_what_goes_on_and_continues(machine: Machine, up: str) -> None:
    machine.slapos("down")
    log = machine.state.parent / "up.log"
    launch = Launch(directory=str(machine.state.parent), environment=machine.environment)
    started = start([*machine.command, "up"], launch=launch, output=str(log))
    wait_for(lambda: "The master answers" in log.read_text(), 30, "the master answers")
    os.kill(started.pid, signal.SIGINT)
    assert started.popen.wait(20) == 130
    assert "goes on" in log.read_text()
    done = machine.slapos("up")
    assert done.code == 0, done.text
    assert page(machine)["text"] == "hello"


def test_unreachable_master_is_named(machine: Machine, up: str) -> None:
    machine.slapos("down")
    done = machine.slapos("service", "list", "--format", "json", seconds=60)
    assert done.code == 69
    assert json.loads(done.text)["error"]["context"]["address"].startswith("https://127.0.0.1:")
