"""Runs in warm processes: real servers, real children, really killed."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slapos.build.job import Job, Progress, Result
from slapos.build.warm import Warm
from slapos.system.proctable import environment_of, find_process, process_table

# `sleep` twice: as a child, and detached in a session of its own.
SLOW = """
[buildout]
parts = first slow
[first]
recipe = hyperopenx:template
output = ${buildout:directory}/first
inline = 1
[slow]
recipe = hyperopenx:cmmi
path = ${buildout:directory}/source
configure-command = (setsid sleep 61.%(token)s &) ; echo begun ; sleep 62.%(token)s
make-binary = true
pre-install = mkdir -p @@LOCATION@@
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """Other users may enter it, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="hox-warm-") as path:
        os.chmod(path, 0o755)
        (Path(path) / "source").mkdir()
        yield Path(path)


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    """Shared: starting a server takes a second of a processor.  Who kills it has it started again."""
    with tempfile.TemporaryDirectory(prefix="hox-run-") as path, Warm(run_directory=path) as engine:
        yield engine


def job(directory: Path, tmp_path: Path, profile: str, **more: object) -> Job:
    path = directory / "p.cfg"
    path.write_text(profile)
    path.chmod(0o644)
    return Job("instance", str(directory), str(path), str(tmp_path / "log" / "run.log"), **more)  # type: ignore[arg-type]


def token() -> str:
    return str(time.monotonic_ns())[-9:]


def sleepers(mark: str) -> list[int]:
    found = []
    for process in process_table().values():
        if process.name == "sleep" and process.alive:
            try:
                command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in command:
                found.append(process.pid)
    return found


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"in vain waited for: {what}"
        time.sleep(0.02)


class Running:
    """A slow run in a thread, begun for sure."""

    def __init__(self, warm: Warm, what: Job, mark: str) -> None:
        self.result: Result | None = None
        self.thread = threading.Thread(target=self._run, args=(warm, what))
        self.thread.start()
        wait_for(lambda: len(sleepers(mark)) == 2, "both sleeps")

    def _run(self, warm: Warm, what: Job) -> None:
        self.result = warm.run(what)

    def end(self) -> Result:
        self.thread.join(20)
        assert self.result is not None
        return self.result


def pids_of_run(warm: Warm) -> tuple[int, int]:
    """The leader and the worker of the only run."""
    assert warm.server_pid is not None
    leader = next(process for process in process_table().values() if process.ppid == warm.server_pid)
    worker = next(
        process
        for process in process_table().values()
        if process.ppid == leader.pid and process.name.startswith("python")
    )
    return leader.pid, worker.pid


def test_a_run_and_its_progress(warm: Warm, directory: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    text = "[buildout]\nparts = a\n[a]\nrecipe = hyperopenx:template\noutput = o\ninline = x\n"
    result = warm.run(job(directory, tmp_path, text, expected={"a": 2.5}), seen.append)
    assert result.outcome == "done"
    assert [(item.part, item.index, item.total, item.stage, item.expected) for item in seen] == [
        ("a", 1, 1, "start", 2.5),
        ("a", 1, 1, "install", 2.5),
    ]
    assert result.profiles[0].location == f"{directory}/p.cfg"
    begin = time.monotonic()
    assert warm.run(job(directory, tmp_path, text)).parts[0].outcome == "kept"
    assert time.monotonic() - begin < 1.0


ENVIRONMENT = """
[buildout]
parts = e
[e]
recipe = hyperopenx:cmmi
path = ${buildout:directory}/source
configure-command = env | sort > %(location)s.env; id -un > %(location)s.id; umask > %(location)s.umask
  ls -l /proc/self/fd | sed 1d | wc -l > %(location)s.fds
make-binary = true
pre-install = mkdir -p @@LOCATION@@
"""


def test_environment_is_clean(warm: Warm, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAK", "secret")
    result = warm.run(job(directory, tmp_path, ENVIRONMENT, environment={"GIVEN": "1"}, umask=0o077))
    assert result.outcome == "done", result
    parts = directory / "parts"
    names = {line.partition("=")[0] for line in (parts / "e.env").read_text().splitlines()}
    assert "LEAK" not in names and {"GIVEN", "HOME", "LC_ALL", "PATH"} <= names
    assert f"HOME={directory}\n" in (parts / "e.env").read_text()
    assert int((parts / "e.fds").read_text()) <= 5


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_as_another_user(warm: Warm, directory: Path, tmp_path: Path) -> None:
    user = pwd.getpwnam("nobody")
    os.chown(directory, user.pw_uid, user.pw_gid)
    os.chmod(tmp_path, 0o700)
    result = warm.run(job(directory, tmp_path, ENVIRONMENT, user="nobody"))
    assert result.outcome == "done", result
    assert (directory / "parts" / "e.id").read_text() == "nobody\n"
    assert (directory / ".installed.cfg").stat().st_uid == user.pw_uid
    assert (tmp_path / "log" / "run.log").stat().st_uid == 0
    failing = job(directory, tmp_path, "[buildout]\nparts = gone\n", user="nobody")
    error = warm.run(failing).error
    assert error is not None
    assert error["context"]["tail"], "the log of the node, which that user cannot read"
    assert warm.run(job(directory, tmp_path, ENVIRONMENT, user="no-such-user")).error["reference"] == "no-such-user"  # type: ignore[index]


def test_time_limit_ends_everything(warm: Warm, directory: Path, tmp_path: Path) -> None:
    mark = token()
    result = warm.run(job(directory, tmp_path, SLOW % {"token": mark}, time_limit=1.0))
    assert result.outcome == "timeout"
    assert "longer than 1 s" in result.sentence
    assert sleepers(mark) == []


def test_cancel_ends_everything(warm: Warm, directory: Path, tmp_path: Path) -> None:
    mark = token()
    running = Running(warm, job(directory, tmp_path, SLOW % {"token": mark}), mark)
    assert warm.cancel(str(directory))
    assert running.end().outcome == "interrupted"
    assert sleepers(mark) == []
    assert not warm.cancel(str(directory))


@pytest.mark.parametrize("victim", ["worker", "leader", "server"])
def test_kill_9_and_run_again(warm: Warm, directory: Path, tmp_path: Path, victim: str) -> None:
    mark = token()
    running = Running(warm, job(directory, tmp_path, SLOW % {"token": mark}), mark)
    leader, worker = pids_of_run(warm)
    assert warm.server_pid is not None
    os.kill({"worker": worker, "leader": leader, "server": warm.server_pid}[victim], signal.SIGKILL)
    result = running.end()
    assert result.outcome == "interrupted"
    assert result.error is not None and result.error["reference"] == "run-interrupted"
    wait_for(lambda: sleepers(mark) == [], "nothing left of the killed run")
    assert (directory / "first").exists()
    assert not (directory / "parts" / "slow").exists()
    short = (SLOW % {"token": mark}).replace("62.", "0.").replace("61.", "0.")
    again = warm.run(job(directory, tmp_path, short))
    assert {part.part: part.outcome for part in again.parts} == {"first": "kept", "slow": "installed"}


DAEMON = """
import sys
from slapos.build.warm import Warm, Job
Warm(run_directory=sys.argv[1]).run(Job("instance", sys.argv[2], sys.argv[3], sys.argv[4]))
"""


def test_a_killed_daemon_leaves_nothing(directory: Path, tmp_path: Path) -> None:
    mark = token()
    what = job(directory, tmp_path, SLOW % {"token": mark})
    command = [sys.executable, "-c", DAEMON, str(tmp_path / "run"), what.directory, what.profile, what.log]
    with subprocess.Popen(command) as daemon:
        wait_for(lambda: len(sleepers(mark)) == 2, "both sleeps")
        daemon.kill()
    wait_for(lambda: sleepers(mark) == [], "no sleep")
    wait_for(lambda: not servers(tmp_path), "no server")


def servers(tmp_path: Path) -> list[int]:
    found = []
    for process in process_table().values():
        try:
            command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        except OSError:
            continue
        if process.alive and b"warm_server" in command and str(tmp_path).encode() in command:
            found.append(process.pid)
    return found


def _runs(pid: int) -> bool:
    """Whoever adopted a dead process may not have looked at it yet."""
    found = find_process(pid)
    return found is not None and found.alive


def test_what_leader_and_server_left_together_is_ended_by_the_next_run(
    warm: Warm, directory: Path, tmp_path: Path
) -> None:
    mark = token()
    running = Running(warm, job(directory, tmp_path, SLOW % {"token": mark}), mark)
    leader, _ = pids_of_run(warm)
    assert warm.server_pid is not None
    marker = environment_of(sleepers(mark)[0])["HYPEROPENX_RUN"]
    for pid in (warm.server_pid, leader):
        os.kill(pid, signal.SIGSTOP)
    os.kill(leader, signal.SIGKILL)
    os.kill(warm.server_pid, signal.SIGKILL)
    assert running.end().outcome == "interrupted"
    wait_for(lambda: not _runs(leader), "the leader is gone")
    assert sleepers(mark), "this test needs something left"
    text = "[buildout]\nparts =\n"
    assert warm.run(job(directory, tmp_path, text)).outcome == "done"
    assert sleepers(mark) == []
    assert not [pid for pid in process_table() if environment_of(pid).get("HYPEROPENX_RUN") == marker]


def test_one_run_per_directory(warm: Warm, directory: Path, tmp_path: Path) -> None:
    """The second waits for the lock, also when another daemon asks."""
    mark = token()
    results: list[Result] = []
    running = Running(warm, job(directory, tmp_path, SLOW % {"token": mark}), mark)
    second = job(directory, tmp_path, "[buildout]\n")
    other = threading.Thread(target=lambda: results.append(warm.run(second)))
    leader, _ = pids_of_run(warm)
    other.start()
    time.sleep(0.3)
    assert results == []
    assert len(sleepers(mark)) == 2
    os.kill(leader, signal.SIGTERM)
    assert running.end().outcome == "interrupted"
    other.join(20)
    assert results[0].outcome == "done"


def test_many_at_once(warm: Warm, tmp_path: Path) -> None:
    text = "[buildout]\nparts = a\n[a]\nrecipe = hyperopenx:template\noutput = o\ninline = x\n"
    results: list[Result] = []
    threads = []
    for number in range(12):
        directory = tmp_path / f"d{number}"
        directory.mkdir()
        what = job(directory, directory, text)
        threads.append(threading.Thread(target=lambda what=what: results.append(warm.run(what))))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.outcome for result in results] == ["done"] * 12


DEFECT = """
[buildout]
parts = a
[a]
recipe = hyperopenx:template.jinja2
output = o
context = import queue queue
inline = {{ queue.Queue().get_nowait() }}
"""


def test_a_defect_comes_back_as_data(warm: Warm, directory: Path, tmp_path: Path) -> None:
    error = warm.run(job(directory, tmp_path, DEFECT)).error
    assert error is not None
    assert (error["kind"], error["reference"]) == ("InternalError", "defect-in-run")
    assert "Empty" in error["message"]
    assert "Traceback" in (tmp_path / "log" / "run.log").read_text()
    unusable = Job("instance", str(directory / "gone"), "/x", str(tmp_path / "log" / "run.log"))
    error = warm.run(unusable).error
    assert error is not None and error["reference"] == "unusable-directory"


def test_a_server_that_is_not_warm_does_the_same(tmp_path: Path) -> None:
    """For one run: it imports what the run needs only."""
    profile = tmp_path / "profile.cfg"
    profile.write_text("[buildout]\nparts = a\n[a]\nrecipe = hyperopenx:template\ninline = x\noutput = f\n")
    job = Job(kind="build", directory=str(tmp_path), profile=str(profile), log=str(tmp_path / "log"))
    with Warm(run_directory=str(tmp_path / "run"), preload=False) as engine:
        assert engine.run(job).outcome == "done"
        (tmp_path / "f").unlink()
        assert engine.run(job).outcome == "done"
    assert (tmp_path / "f").read_text() == "x"
