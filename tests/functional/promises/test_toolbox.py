"""Promises of the real slapos.toolbox, brought by pip, run by our runner on our base class (spec 06)."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.build.fetch.profiles import ProfileReader
from slapos.build.profile.buildout import Buildout
from slapos.build.profile.install import install
from slapos.promises.runner import Judged, Mode, Setting, run_promises
from slapos.system.processes import Launch, check_run

NEEDED = (
    "slapos.toolbox==0.170",
    *("zope.interface", "six", "requests", "urllib3", "idna", "certifi", "charset-normalizer", "python-dateutil"),
)
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - (INFO|ERROR) - \d+-\d{3} - .*")
OLD_STYLE = "__path__ = [__path__[0]]\n"  # as strict as an old-style namespace can be


@pytest.fixture(scope="module")
def egg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """slapos.toolbox and what its promises import, in one directory as an egg."""
    target = tmp_path_factory.mktemp("eggs") / "slapos.toolbox-0.170-py3.egg"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), *NEEDED]
    check_run(command, launch=Launch(environment=dict(os.environ)), timeout=250.0)
    return target


@pytest.fixture
def served() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/ok" else 503)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def instantiate(partition: Path, egg: Path, **promises: str) -> None:
    """Write plugins with the recipe of the field's name; each value is the options of one."""
    text = f"[buildout]\nparts = {' '.join(promises)}\neggs-directory = {egg.parent}\n"
    for name, options in promises.items():
        module = f"module = slapos.promise.plugin.{options.partition(chr(10))[0]}"
        lines = ["recipe = slapos.cookbook:promise.plugin", "eggs = slapos.toolbox", module]
        lines += [f"output = ${{buildout:directory}}/etc/plugin/{name}.py"]
        lines += [f"config-{line}" for line in options.split("\n")[1:]]
        text += "\n".join([f"[{name}]", *lines, ""])
    partition.mkdir(exist_ok=True)
    (partition / "buildout.cfg").write_text(text)
    report = install(Buildout(profile=str(partition / "buildout.cfg"), directory=str(partition), read=ProfileReader()))
    assert report.outcome == "done", report.sentence


def judge(partition: Path, mode: Mode = Mode.TEST, force: bool = True, **config: str) -> Judged:
    setting = Setting(directory=str(partition), timeout=60.0, config={"partition-id": "slappart0", **config})
    return run_promises(setting, mode=mode, force=force)


def outcome(judged: Judged) -> dict[str, tuple[bool, str]]:
    return {result.name: (result.ok, result.message) for result in judged.results}


def test_promises_of_the_field_say_what_they_say_there(tmp_path: Path, egg: Path, served: str) -> None:
    partition, listening = tmp_path / "slappart0", socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    instantiate(
        partition,
        egg,
        listens=f"check_socket_listening\nhost = 127.0.0.1\nport = {port}",
        deaf="check_socket_listening\nhost = 127.0.0.1\nport = 1",
        web=f"check_url_available\nurl = {served}/ok\ntimeout = 5",
        broken=f"check_url_available\nurl = {served}/broken\nfrequency = 5",
        command="check_command_execute\ncommand = echo spoken",
        file=f"check_file_state\nfilename = {partition}/buildout.cfg\nstate = not-empty",
        absent=f"check_file_state\nfilename = {partition}/buildout.cfg\nstate = absent\nperiodicity = 7",
    )
    with listening:
        results = outcome(judge(partition))
    kept = {name for name, (ok, _) in results.items() if ok}
    assert kept == {"command.py", "file.py", "listens.py", "web.py"}, results
    assert results["listens.py"][1] == f"socket connection OK ('127.0.0.1', {port})"
    assert results["deaf.py"][1] == "ConnectionRefusedError: [Errno 111] Connection refused"
    assert results["broken.py"][1].endswith("failed (returned 503, expected 200)")
    assert results["absent.py"][1] == f"ERROR '{partition}/buildout.cfg' not absent"


def test_files_logs_and_periods_are_those_of_the_field(tmp_path: Path, egg: Path) -> None:
    partition = tmp_path / "slappart0"
    instantiate(partition, egg, file=f"check_file_state\nfilename = {tmp_path}\nstate = absent\nfrequency = 0.5")
    first = judge(partition)
    folder = partition / ".slapgrid" / "promise"
    status = json.loads((folder / "result" / "file.status.json").read_text())
    assert set(status) == {"title", "name", "path", "execution-time", "result"}
    assert (status["title"], status["name"]) == ("file", "file.py")
    assert (status["result"]["type"], status["result"]["failed"]) == ("Test Result", True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000", status["result"]["date"])
    assert LOG_LINE.fullmatch((folder / "log" / "file.log").read_text().splitlines()[0])
    cache = json.loads((folder / "cache" / "file").read_text())
    assert (cache["periodicity"], cache["is_tested"], cache["is_anomaly_detected"]) == (0.5, True, True)
    assert first.next_run is not None
    before = (folder / "log" / "file.log").read_text()
    assert outcome(judge(partition, Mode.ANOMALY, force=False)) == outcome(first), "not due: the stored result counts"
    assert (folder / "log" / "file.log").read_text() == before


def test_an_anomaly_is_seen_when_the_plugin_says_so_and_may_bang(tmp_path: Path, egg: Path) -> None:
    """check_socket_listening asks for three failures in a row, and never for one."""
    partition = tmp_path / "slappart0"
    instantiate(
        partition,
        egg,
        deaf="check_socket_listening\nhost = 127.0.0.1\nport = 1",
        quiet=f"check_file_state\nfilename = {tmp_path}\nstate = absent\nbang-on-failure = false",
        less=f"check_file_state\nfilename = {tmp_path}\nstate = absent\nreport-anomaly = false",
    )
    seen = [judge(partition, Mode.ANOMALY) for _ in range(3)]
    assert [outcome(judged)["deaf.py"][0] for judged in seen] == [True, True, False]
    assert [judged.bangs for judged in seen] == [(), (), ("deaf",)]
    assert not outcome(seen[0])["quiet.py"][0]
    assert "less.py" not in outcome(seen[0]), "it detects no anomalies"
    assert not outcome(judge(partition))["less.py"][0]


def test_trap_7_an_old_style_namespace_in_an_egg_hides_nothing(tmp_path: Path, egg: Path) -> None:
    """Without our finder: ``ModuleNotFoundError: No module named 'slapos.grid'``."""
    old = tmp_path / "eggs" / egg.name
    shutil.copytree(egg, old)
    (old / "slapos" / "__init__.py").write_text(OLD_STYLE)
    partition = tmp_path / "slappart0"
    instantiate(partition, old, file=f"check_file_state\nfilename = {tmp_path}/none\nstate = absent")
    assert outcome(judge(partition)) == {"file.py": (True, f"OK '{tmp_path}/none' state 'absent'")}


def test_without_slapos_toolbox_our_own_checks_serve_its_names(tmp_path: Path) -> None:
    partition, nowhere = tmp_path / "slappart0", tmp_path / "eggs" / "none.egg"
    instantiate(partition, nowhere, command="check_command_execute\ncommand = true", disk="check_free_disk_space")
    assert {name: ok for name, (ok, _) in outcome(judge(partition)).items()} == {"command.py": True, "disk.py": True}
    assert "slapos.promises.checks.command_execute" in (partition / "etc/plugin/command.py").read_text()
    with pytest.raises(AssertionError, match=r"is of slapos\.toolbox, which is not installed"):
        instantiate(partition, nowhere, other="check_icmp_packet_lost")
