"""Programs are run with what they are given, and end with all that they started."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from slapos.model.errors import MachineError
from slapos.system.limits import Limits
from slapos.system.processes import Launch, check_run, run, start
from slapos.system.proctable import (
    boot_id,
    descendants,
    directory_of,
    end_tree,
    environment_of,
    find_process,
    is_alive,
    parse_stat,
    process_table,
    send_signal,
    start_time,
    wait_gone,
)
from slapos.system.users import Identity


def test_output_status_and_input() -> None:
    done = run(["/bin/sh", "-c", "echo out; echo err >&2; cat; exit 3"], stdin=b"in\n")
    assert (done.code, done.output, done.timed_out) == (3, b"out\nerr\nin\n", False)


def test_the_end_of_long_output_is_kept() -> None:
    done = run([sys.executable, "-c", "print('x' * 1000000 + 'end')"], output_limit=100)
    assert done.truncated
    assert done.output == b"x" * 96 + b"end\n"


def test_much_input_to_a_program_that_does_not_read_it() -> None:
    assert run(["/bin/true"], stdin=b"x" * 1_000_000).code == 0


def test_the_environment_is_what_is_given_and_nothing_else() -> None:
    done = run(["/usr/bin/env"], launch=Launch(environment={"A": "b"}))
    assert done.text == "A=b\n"


def test_a_time_limit_ends_the_whole_tree(tmp_path: Path) -> None:
    inner = f"sleep 300 & echo $! > {tmp_path}/one; setsid sleep 300 & echo $! > {tmp_path}/two"
    script = f"trap '' TERM; ({inner}); sleep 300"
    begin = time.monotonic()
    done = run(["/bin/sh", "-c", script], timeout=0.5, launch=Launch(mark=f"test {os.getpid()}"))
    assert done.timed_out
    assert time.monotonic() - begin < 5
    assert find_alive(int((tmp_path / "one").read_text())) is None
    assert find_alive(int((tmp_path / "two").read_text())) is None, "it left the session"


def find_alive(pid: int) -> int | None:
    process = find_process(pid)
    return pid if process is not None and process.alive else None


def test_a_background_process_that_holds_the_output_is_not_waited_for() -> None:
    begin = time.monotonic()
    done = run(["/bin/sh", "-c", "sleep 30 & echo $!"])
    assert time.monotonic() - begin < 5
    pid = int(done.text)
    assert send_signal(pid, start_time(pid), signal.SIGKILL)


def test_an_absent_program_is_named() -> None:
    with pytest.raises(MachineError) as caught:
        run(["/nonexistent/program", "argument"])
    assert caught.value.reference == "cannot-start"
    assert "/nonexistent/program" in str(caught.value)


def test_a_failing_program_shows_its_last_words() -> None:
    with pytest.raises(MachineError) as caught:
        check_run(["/bin/sh", "-c", "echo why; exit 2"])
    assert caught.value.context["code"] == 2
    assert "why" in str(caught.value)


def test_limits_reach_the_program() -> None:
    launch = Launch(limits=Limits(open_files=77, core_size=0))
    assert run(["/bin/sh", "-c", "ulimit -n; ulimit -c"], launch=launch).text == "77\n0\n"


@pytest.mark.root
def test_privileges_are_dropped_completely() -> None:
    launch = Launch(user=Identity("nobody", 65534, 65534, (65534,)))
    done = run(["/bin/sh", "-c", "id -u; id -g; id -G; grep Cap /proc/self/status"], launch=launch)
    lines = done.text.splitlines()
    assert lines[:3] == ["65534", "65534", "65534"]
    assert "CapEff:\t0000000000000000" in lines


def test_a_started_program_leads_its_own_session_and_writes_its_log(tmp_path: Path) -> None:
    started = start(["/bin/sh", "-c", "echo $PPID; exec sleep 300"], output=str(tmp_path / "log"))
    try:
        process = find_process(started.pid)
        assert process is not None
        assert process.session == started.pid
        deadline = time.monotonic() + 5
        while not (tmp_path / "log").read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (tmp_path / "log").read_text() == f"{os.getpid()}\n"
    finally:
        end_tree(started.pid, 0.0)
        started.popen.wait()


def test_a_name_with_spaces_and_parentheses_is_read() -> None:
    fields = " ".join(["S", "1", "2", "3", "4", *["0"] * 14, "777", "0"])
    process = parse_stat(f"42 (a) (b c) {fields}", 5)
    assert (process.pid, process.name, process.ppid, process.session, process.start) == (42, "a) (b c", 1, 3, 777)
    assert process.alive


def test_the_table_knows_us_and_our_children() -> None:
    started = start(["/bin/sleep", "300"], launch=Launch(directory="/usr", environment={"MARK": "x"}))
    try:
        table = process_table()
        assert table[os.getpid()].uid == os.geteuid()
        assert started.pid in [process.pid for process in descendants(table, os.getpid())]
        assert directory_of(started.pid) == "/usr"
        assert environment_of(started.pid) == {"MARK": "x"}
    finally:
        end_tree(started.pid, 0.0)
        started.popen.wait()


def test_a_signal_reaches_that_very_process_or_none() -> None:
    started = start(["/bin/sleep", "300"])
    begin = start_time(started.pid)
    assert not send_signal(started.pid, begin + 1, signal.SIGKILL), "a pid given to somebody else"
    assert is_alive(started.pid, begin)
    assert send_signal(started.pid, begin, signal.SIGKILL)
    assert wait_gone([(started.pid, begin)], 5.0) == frozenset()
    assert not is_alive(started.pid, begin), "a zombie is not alive"
    started.popen.wait()
    assert not send_signal(started.pid, begin, signal.SIGKILL)


def test_a_program_ends_with_its_last_thread() -> None:
    """The first one ends alone: the program is a zombie for who looks at its number, and still works."""
    program = (
        "import ctypes, os, platform, threading, time\n"
        "threading.Thread(target=lambda: (time.sleep(1), os._exit(7))).start()\n"
        "ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[platform.machine()], 0)"
    )
    started = start([sys.executable, "-c", program])
    while is_alive(started.pid, start_time(started.pid)):
        time.sleep(0.01)
    assert not started.ends_within(0.01)
    assert started.ends_within(30)
    assert started.wait() == 7


def test_a_tree_that_ignores_term_ends(tmp_path: Path) -> None:
    script = "trap '' TERM; for i in 1 2 3; do (trap '' TERM; sleep 300; sleep 300) & done; touch ready; wait"
    started = start(["/bin/sh", "-c", script], launch=Launch(directory=str(tmp_path)))
    reaper = threading.Thread(target=started.popen.wait)
    reaper.start()
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    assert end_tree(started.pid, 0.2) == frozenset()
    reaper.join()
    assert not [process for process in process_table().values() if process.session == started.pid and process.alive]


def test_the_boot_has_a_name() -> None:
    assert boot_id() == boot_id() != ""


def test_interrupted_waiting_ends_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    started = start(["/bin/sh", "-c", "sleep 60 & wait; sleep 60"])
    waiting = started.popen.wait
    calls = iter([KeyboardInterrupt()])

    def interrupted_once() -> int:
        for error in calls:
            raise error
        return waiting()

    monkeypatch.setattr(started.popen, "wait", interrupted_once)
    with pytest.raises(KeyboardInterrupt):
        started.wait()
    assert started.popen.returncode in (-signal.SIGTERM, -signal.SIGKILL), "it did not end by itself"
    assert not [process for process in process_table().values() if process.session == started.pid and process.alive]
