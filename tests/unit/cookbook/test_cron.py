"""Entries and the scheduler that runs them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slapos.cookbook.cron_daemon import Scheduler, due_time, parse_entry, read_jobs
from slapos.model.errors import ProfileError
from slapos.system.proctable import find_process
from tests.unit.cookbook.engine import Partition

PROFILE = """
[buildout]
parts = cron entry
[cron]
recipe = hyperopenx:cron
[entry]
recipe = hyperopenx:cron.d
name = job
"""
EVERY_MINUTE = "* * * * *"


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    found = find_process(pid)
    return found is not None and found.state != "Z"


def scheduler(tmp_path: Path, **entries: str) -> Scheduler:
    directory = tmp_path / "cron.d"
    directory.mkdir(exist_ok=True)
    for name, command in entries.items():
        (directory / name).write_text(json.dumps({"schedule": EVERY_MINUTE, "command": command}))
    return Scheduler(entries=str(directory), state=str(tmp_path / "state.json"), directory=str(tmp_path))


def test_an_entry_holds_the_command_with_its_values_quoted(partition: Partition) -> None:
    value = "a b; $(touch evil)\n'\" 🙂"
    text = "command = /usr/bin/printf %s ${given:v} > ${buildout:directory}/out && true\ntime = daily\n"
    partition.done(PROFILE + text, given={"v": value})
    entry = json.loads((partition.directory / "etc/cron.d/job").read_text())
    subprocess.run(["/bin/sh", "-c", entry["command"]], check=True, timeout=10, cwd=partition.directory)
    assert (partition.directory / "out").read_text() == value
    assert not (partition.directory / "evil").exists()
    before = partition.snapshot()
    partition.done(PROFILE + text, given={"v": value})
    assert partition.snapshot() == before


@pytest.mark.parametrize("word", ["hourly", "daily", "weekly", "monthly", "yearly"])
def test_words_for_times_are_schedules(partition: Partition, word: str) -> None:
    partition.done(PROFILE + f"command = true\ntime = {word}\n")
    schedule = json.loads((partition.directory / "etc/cron.d/job").read_text())["schedule"]
    assert len(schedule.split()) == 5


@pytest.mark.parametrize(
    ("text", "given", "option"),
    [
        ("time = daily", {}, "command"),
        ("command = true", {}, "frequency"),
        ("command = true\ntime = daily\nfrequency = * * * * *", {}, "frequency"),
        ("command = true\nfrequency = 61 * * * *", {}, "frequency"),
        ("command = true\nfrequency = 0 0 30 2 *", {}, "frequency"),
        ("command = true\ntime = sometimes", {}, "time"),
        ("command = echo '${given:v}'\ntime = daily", {"v": "'; rm -rf /; '"}, "command"),
        ("command = echo ${given:v}\ntime = daily", {"v": "\0"}, "command"),
        ("command = echo ${given:v}\ntime = daily", {"v": "x" * 1_000_000}, "command"),
    ],
)
def test_wrong_entries_are_refused(partition: Partition, text: str, given: dict[str, Any], option: str) -> None:
    with pytest.raises(ProfileError) as caught:
        partition.done(PROFILE + text + "\n", given=given)
    assert caught.value.context["option"] == option


def test_entries_of_both_shapes_and_damaged_ones(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a").write_text("# comment\n\n*/5 * * * * echo %d\n@daily true\n")
    (tmp_path / "b").write_text(json.dumps({"schedule": "1 2 * * *", "command": "x\ny"}))
    (tmp_path / "c").write_text("{")
    (tmp_path / "d").write_text("99 * * * * true\n")
    (tmp_path / "e~").write_text("* * * * * true\n")
    found = [(job.name, job.schedule, job.command) for job in read_jobs(str(tmp_path))]
    assert found == [("a", "*/5 * * * *", "echo %d"), ("a", "0 0 * * *", "true"), ("b", "1 2 * * *", "x\ny")]
    assert {"c: left out", "d: left out"} <= {record.getMessage()[:11] for record in caplog.records}
    assert read_jobs(str(tmp_path / "absent")) == []


def test_times_are_utc() -> None:
    (job,) = parse_entry("a", "30 4 * * * true")
    assert due_time(job, 0.0) == 4.5 * 3600


def test_a_new_entry_waits_for_its_time_and_a_missed_one_runs_once(tmp_path: Path) -> None:
    first = scheduler(tmp_path, job="echo x >> out")
    assert first.run_due(1000.0) == 1020.0
    first.run_due(1019.0)
    assert not (tmp_path / "out").exists()
    first.run_due(1020.5)
    wait_until(lambda: (tmp_path / "out").exists() and not first.running)
    later = scheduler(tmp_path)
    later.run_due(100_000.0)
    wait_until(lambda: (tmp_path / "out").read_text() == "x\nx\n" and not later.running)
    assert later.run_due(100_000.0) > 100_000.0
    assert (tmp_path / "out").read_text() == "x\nx\n"


def test_a_job_never_runs_twice_at_once_and_gone_entries_leave_the_state(tmp_path: Path) -> None:
    busy = scheduler(tmp_path, job="echo x >> out; until [ -e go ]; do sleep 0.05; done")
    for now in (60.0, 120.0, 180.0):
        busy.run_due(now)
    wait_until((tmp_path / "out").exists)
    assert (tmp_path / "out").read_text() == "x\n"
    (tmp_path / "go").touch()
    wait_until(lambda: not busy.running)
    (tmp_path / "cron.d" / "job").unlink()
    busy.run_due(240.0)
    assert json.loads((tmp_path / "state.json").read_text()) == {}


def test_a_clock_set_back_does_not_stop_the_jobs(tmp_path: Path) -> None:
    moved = scheduler(tmp_path, job="true")
    moved.run_due(1_000_000.0)
    assert moved.run_due(1000.0) <= 1020.0


def test_the_service_runs_a_job_and_ends_with_all_it_started(partition: Partition) -> None:
    partition.done(PROFILE + "command = echo $$ > ${buildout:directory}/pid; sleep 60\nfrequency = * * * * *\n")
    entry = read_jobs(str(partition.directory / "etc/cron.d"))[0]
    state = partition.directory / "var/cron.json"
    state.write_text(json.dumps({entry.key: time.time() - 120}))
    binary = partition.directory / "etc/service/crond"
    assert sys.executable in binary.read_text()
    with subprocess.Popen([binary], cwd=partition.directory, stdout=subprocess.PIPE, env={}) as process:
        pid_file = partition.directory / "pid"
        wait_until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
        pid = int(pid_file.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0
    wait_until(lambda: not is_running(pid))
