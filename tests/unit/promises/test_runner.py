"""Promises of a partition as they are run: apart, in time, as whom, and what is kept."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.promises.discovery import Kind, find_promises
from slapos.promises.runner import Judged, Mode, Setting, run_promises
from slapos.system.users import Identity

HEAD = """import sys
sys.path[0:0] = []
extra_config_dict = {'greeting': 'hello'}
for name in [name for name in sys.modules if 'slapos' in name or 'pkg_resources' in name]:
    del sys.modules[name]
from slapos.grid.promise.generic import AnomalyResult, GenericPromise, TestResult
"""
SAYS = HEAD + "class RunPromise(GenericPromise):\n    def sense(self):\n        "


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "etc" / "plugin").mkdir(parents=True)
    (tmp_path / "etc" / "promise").mkdir()
    return tmp_path


def plugin(place: Path, body: str, name: str = "my.py", head: str = SAYS) -> None:
    (place / "etc" / "plugin" / name).write_text(head + body)


def executable(place: Path, body: str, name: str = "check", mode: int = 0o755) -> None:
    path = place / "etc" / "promise" / name
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(mode)


def judge(place: Path, mode: Mode = Mode.TEST, force: bool = True, **more: object) -> Judged:
    values = {"directory": str(place), "timeout": 15.0, "config": {"partition-id": "slappart0"}}
    return run_promises(Setting(**{**values, **more}), mode=mode, force=force)


def results(place: Path, **more: object) -> dict[str, tuple[bool, str]]:
    return {result.name: (result.ok, result.message) for result in judge(place, **more).results}


def test_nothing_to_run_leaves_nothing_behind(tmp_path: Path) -> None:
    assert judge(tmp_path) == Judged(())
    assert os.listdir(tmp_path) == []


def test_plugins_then_executables_each_with_its_result(place: Path) -> None:
    plugin(place, "self.logger.info('%s %s', self.getConfig('greeting'), self.getConfig('partition-id'))", "b.py")
    plugin(place, "self.logger.error('broken')", "a.py")
    executable(place, "echo out; echo err >&2")
    executable(place, "echo no; exit 3", "z")
    judged = judge(place)
    assert [result.name for result in judged.results] == ["a.py", "b.py", "check", "z"]
    assert [(result.ok, result.message) for result in judged.results] == [
        (False, "broken"),
        (True, "hello slappart0"),
        (True, "out\nerr"),
        (False, "no"),
    ]
    assert judged.failed is not None
    assert judged.failed.name == "a.py"
    assert judged.next_run is not None
    assert 110 < judged.next_run - time.time() < 121


def test_result_cache_and_log_files(place: Path) -> None:
    plugin(place, "self.logger.info('fine')")
    executable(place, "echo bad; exit 1")
    judge(place)
    folder = place / ".slapgrid" / "promise"
    kept = json.loads((folder / "result" / "my.status.json").read_text())
    assert (kept["title"], kept["name"], kept["path"]) == ("my", "my.py", f"{place}/etc/plugin/my.py")
    assert kept["result"]["type"] == "Test Result"
    assert (kept["result"]["failed"], kept["result"]["message"]) == (False, "fine")
    assert time.strptime(kept["result"]["date"], "%Y-%m-%dT%H:%M:%S+0000")
    cache = json.loads((folder / "cache" / "my").read_text())
    assert (cache["is_tested"], cache["is_anomaly_detected"], cache["periodicity"]) == (True, True, 2.0)
    assert cache["module_file"] == f"{place}/etc/plugin/my.py"
    assert cache["next_run_after"] > cache["timestamp"]
    assert (folder / "log" / "check.log").read_text().endswith(" - bad\n")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("raise RuntimeError('at import')", "RuntimeError: at import"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("import os; os._exit(0)", "No output returned by the promise"),
        ("x = 1", "no class RunPromise"),
        ("def broken(:", "SyntaxError"),
        (
            HEAD + "extra_config_dict = {'path': 'x'}\nclass RunPromise(GenericPromise):\n    pass",
            "reserved key 'path'",
        ),
        (SAYS + "raise ValueError('in sense')", "ValueError: in sense"),
        (SAYS + "pass\n    def test(self): return None", "No output returned by the promise"),
        (SAYS + "import os, signal; print('last words', flush=True); os.kill(os.getpid(), 9)", "last words"),
    ],
)
def test_whatever_a_plugin_does_is_a_result(place: Path, source: str, expected: str) -> None:
    plugin(place, source, head="")
    ok, message = results(place)["my.py"]
    assert not ok
    assert expected in message


def test_output_and_messages_are_bounded(place: Path) -> None:
    executable(place, "head -c 3000000 /dev/zero | tr '\\\\0' x; echo end")
    plugin(place, "print('x' * 1000000); self.logger.error('y' * 100000)")
    found = results(place)
    assert len(found["check"][1]) <= 5000
    assert found["check"][1].endswith("end")
    assert found["my.py"] == (False, "y" * 5000)


def test_a_promise_that_never_ends_is_ended_with_its_children(place: Path) -> None:
    executable(place, "setsid sleep 300 & echo $! > pid; trap '' TERM; sleep 300")
    plugin(place, "import time; time.sleep(300)")
    begin = time.monotonic()
    found = results(place, timeout=1.5)
    assert time.monotonic() - begin < 9
    assert found["check"] == found["my.py"] == (False, "Error: Promise timed out after 1.5 seconds")
    pid = int((place / "pid").read_text())
    assert not os.path.exists(f"/proc/{pid}") or "Z" in Path(f"/proc/{pid}/stat").read_text()


def test_where_a_promise_runs(place: Path) -> None:
    executable(place, "pwd; echo $HOME; echo ${SECRET-unset}")
    os.environ["SECRET"] = "of the node"
    try:
        assert results(place)["check"] == (True, f"{place}\n{place}\nunset")
    finally:
        del os.environ["SECRET"]


def test_a_module_beside_the_partition_is_not_imported(place: Path) -> None:
    (place / "json.py").write_text("raise RuntimeError('imported from the partition')")
    plugin(place, "self.logger.info('fine')")
    assert results(place)["my.py"] == (True, "fine")


def test_while_the_instance_runs_only_what_is_due_runs(place: Path) -> None:
    plugin(place, "open('ran', 'a').write('x'); self.logger.info('fine')")
    for _ in range(2):
        assert [result.ok for result in judge(place, Mode.ANOMALY, force=False).results] == [True]
    assert (place / "ran").read_text() == "x"
    plugin(place, "self.logger.error('changed')")
    os.utime(place / "etc" / "plugin" / "my.py", (1, 1))
    judged = judge(place, Mode.ANOMALY, force=False)
    assert [result.message for result in judged.results] == ["changed"], "another file is due at once"
    assert judged.bangs == ("my",)


def test_modes_that_a_plugin_refuses(place: Path) -> None:
    init = "    def __init__(self, config):\n        super().__init__(config)\n        self.{}()\n"
    head = HEAD + "class RunPromise(GenericPromise):\n" + init + "    def sense(self): self.logger.error('x')\n"
    plugin(place, "", "anomaly_only.py", head.replace("{}", "setTestLess"))
    plugin(place, "", "test_only.py", head.replace("{}", "setAnomalyLess"))
    assert list(results(place)) == ["test_only.py"]
    judged = judge(place, Mode.ANOMALY)
    assert [result.name for result in judged.results] == ["anomaly_only.py"]
    assert judge(place, Mode.ANOMALY, force=False).results == judged.results


def test_an_executable_is_an_anomaly_after_three_failures_and_never_bangs(place: Path) -> None:
    executable(place, "exit 1")
    judged = [judge(place, Mode.ANOMALY) for _ in range(3)]
    assert [each.results[0].ok for each in judged] == [True, True, False]
    assert judged[-1].bangs == ()


def test_one_late_answer_is_no_anomaly_yet(place: Path) -> None:
    plugin(place, "import time; time.sleep(300)")
    judged = [judge(place, Mode.ANOMALY, timeout=1.0) for _ in range(2)]
    assert [each.results[0].ok for each in judged] == [True, False]


def test_names_that_are_refused_and_files_that_are_no_promises(place: Path) -> None:
    for name in ("9lives.py", "a b.py", "new\nline.py"):
        plugin(place, "self.logger.info('x')", name)
    (place / "etc" / "plugin" / "link.py").symlink_to("/etc/passwd")
    for name in ("__init__.py", "notes.txt"):
        plugin(place, "", name)
    executable(place, "echo x", "100%")
    executable(place, "echo x", "plain", 0o644)
    found = results(place)
    assert set(found) == {"9lives.py", "a b.py", "new\nline.py", "link.py", "100%"}
    assert not any(ok for ok, _ in found.values())
    assert all("is not run: " in message for _, message in found.values())
    kinds = [promise.kind for promise in find_promises(str(place))]
    assert kinds == [Kind.PLUGIN] * 4 + [Kind.EXECUTABLE]


def test_broken_history_is_as_good_as_none(place: Path) -> None:
    plugin(place, "self.logger.info('fine')")
    judge(place)
    for folder in ("result/my.status.json", "cache/my"):
        (place / ".slapgrid" / "promise" / folder).write_text('{"result": 3, "next_run_after": "x"')
    assert results(place, force=False)["my.py"] == (True, "fine")


def test_history_is_not_written_through_links(place: Path) -> None:
    victim = place / "victim"
    victim.mkdir()
    executable(place, "echo fine")
    judge(place)
    result = place / ".slapgrid" / "promise" / "result"
    (result / "check.status.json").unlink()
    result.rmdir()
    result.symlink_to(victim)
    ((name, (ok, message)),) = results(place).items()
    assert (name, ok) == ("check", False)
    assert "a link" in message
    assert os.listdir(victim) == []


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A partition that its user can reach."""
    directory = Path(tempfile.mkdtemp(prefix="hox-promise-", dir="/srv"))
    for name in ("etc/plugin", "etc/promise"):
        (directory / name).mkdir(parents=True)
    yield directory
    shutil.rmtree(directory)


@pytest.mark.root
def test_the_user_of_the_partition_runs_them(reachable: Path) -> None:
    place, user = reachable, Identity("nobody", 65534, 65534, (65534,))
    executable(place, "id -u; id -G; touch /tmp/x$$ 2>/dev/null && rm /tmp/x$$")
    plugin(place, "import os; self.logger.info('%s', os.getuid())")
    for path in [place, *place.rglob("*")]:
        os.chown(path, 65534, 65534)
    place.chmod(0o750)
    found = results(place, user=user)
    assert found == {"my.py": (True, "65534"), "check": (True, "65534\n65534")}
    for path in (place / ".slapgrid").rglob("*"):
        assert path.stat().st_uid == 65534, path
