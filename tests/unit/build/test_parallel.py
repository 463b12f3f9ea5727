"""Tasks side by side: real children, real make."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slapos.build.command import CommandLog
from slapos.build.jobserver import (
    Jobserver,
    jobs_option,
    ninja_environment,
    one_by_one,
    shared_descriptors,
    shared_slots,
    tokens,
)
from slapos.build.parallel import Event, Outcome, Say, Task, run_side_by_side
from slapos.model.errors import BuildFailed
from slapos.system.processes import Launch, start
from slapos.system.proctable import environment_of, process_table
from slapos.testing.waiting import wait_for

#: Jobs of a make that write when they began and ended.
MAKEFILE = """
all: $(JOBS)
$(JOBS):
\t@date +"$(NAME)$@ + %s.%N" >> $(TIMES); sleep 0.25; date +"$(NAME)$@ - %s.%N" >> $(TIMES)
"""


def making(directory: Path, name: str, jobs: int = 4, before: str = "true") -> Task:
    """A task that runs make as the recipes do; its jobs write into ``times``."""
    place = directory / name
    place.mkdir()
    (place / "Makefile").write_text(MAKEFILE)
    log = str(place / "log")

    def run(say: Say) -> str:
        say("make")
        commands = CommandLog(log, environment=dict(os.environ))
        names = " ".join(f"job{index}" for index in range(jobs))
        text = f"{before}; make {jobs_option(os.environ)} NAME={name} TIMES={directory}/times JOBS='{names}'"
        commands.shell(text, str(place))
        return name

    return Task(name, run, log=log)


def most_at_once(times: Path) -> int:
    """How many jobs ran at the same moment, at most."""
    moments = []
    for line in times.read_text().splitlines():
        _, sign, moment = line.split()
        moments.append((float(moment), 1 if sign == "+" else -1))
    most = now = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


def endings(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.task: outcome.ending for outcome in outcomes}


def test_the_machine_is_full_and_never_over_full(tmp_path: Path) -> None:
    outcomes = run_side_by_side([making(tmp_path, name) for name in ("a", "b", "c")], slots=2)
    assert [outcome.told for outcome in outcomes] == [outcome.task for outcome in outcomes]
    assert most_at_once(tmp_path / "times") == 2
    assert "warning" not in "".join((tmp_path / name / "log").read_text() for name in "abc")


def test_one_part_alone_gets_all_slots(tmp_path: Path) -> None:
    run_side_by_side([making(tmp_path, "a", jobs=6)], slots=3)
    assert most_at_once(tmp_path / "times") == 3


def test_a_killed_make_takes_no_slot_with_it(tmp_path: Path) -> None:
    """Its tokens are lost with it; what comes later has all slots even so."""
    killed = making(tmp_path, "killed", jobs=30, before="(sleep 0.4; kill -9 0) & true")
    after = making(tmp_path, "after")
    (tmp_path / "times").touch()

    def run(say: Say) -> Any:
        (tmp_path / "times").write_text("")
        return after.run(say)

    def fail(say: Say) -> None:
        try:
            killed.run(say)
        except BuildFailed:
            return
        raise AssertionError("it was to be killed")

    outcomes = run_side_by_side([Task("killed", fail), Task("after", run, frozenset({"killed"}))], slots=3)
    assert endings(outcomes) == {"killed": "done", "after": "done"}
    assert most_at_once(tmp_path / "times") == 3


def test_slots_that_a_build_makes_up_are_taken_away(tmp_path: Path) -> None:
    def forge(say: Say) -> None:
        slots = shared_slots(os.environ)
        assert slots is not None
        slots.give(b"+" * 50)
        say("forged")
        time.sleep(1.5)

    makes = [making(tmp_path, name, jobs=6) for name in ("a", "b")]
    after = [Task(task.name, task.run, frozenset({"wait"}), task.log) for task in makes]
    tasks = [Task("forge", forge, expected=9.0), Task("wait", lambda say: time.sleep(0.5), expected=9.0), *after]
    assert set(endings(run_side_by_side(tasks, slots=3)).values()) == {"done"}
    assert most_at_once(tmp_path / "times") <= 3


def test_a_failing_one_lets_the_others_end(tmp_path: Path) -> None:
    def fail(say: Say) -> None:
        CommandLog(str(tmp_path / "bad.log"), environment={"PATH": os.defpath}).shell("echo why; exit 3", "/")

    def write(name: str) -> Callable[[Say], None]:
        def run(say: Say) -> None:
            time.sleep(0.2)
            (tmp_path / name).touch()

        return run

    events: list[Event] = []
    tasks = [
        Task("bad", fail, log=str(tmp_path / "bad.log")),
        Task("worse", fail, log=str(tmp_path / "bad.log")),
        Task("good", write("good")),
        Task("later", write("later"), frozenset({"good"})),
        Task("needy", write("needy"), frozenset({"bad", "good"})),
        Task("needier", write("needier"), frozenset({"needy"})),
    ]
    outcomes = run_side_by_side(tasks, 2, events.append)
    assert endings(outcomes) == {
        "bad": "failed",
        "worse": "failed",
        "good": "done",
        "later": "done",
        "needy": "blocked",
        "needier": "blocked",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.log", "good", "later"]
    error = next(outcome.error for outcome in outcomes if outcome.task == "worse")
    assert error is not None and error["reference"] == "build-command-failed"
    assert "why" in error["context"]["tail"]
    assert {outcome.task: outcome.culprit for outcome in outcomes}["needier"] == "bad"
    assert [event.stage for event in events if event.task == "good"] == ["start", "done"]
    assert events[-1].ended == events[-1].total == 6


def test_a_defect_and_a_kill_are_failures_of_their_task(tmp_path: Path) -> None:
    def defect(say: Say) -> None:
        raise RuntimeError("not thought of")

    def kill(say: Say) -> None:
        start(["sleep", "60"], launch=Launch(mark="test-parallel"))
        os.kill(os.getpid(), signal.SIGKILL)

    log = tmp_path / "log"
    outcomes = run_side_by_side([Task("defect", defect, log=str(log)), Task("kill", kill)], slots=2)
    errors = {outcome.task: outcome.error or {} for outcome in outcomes}
    assert errors["defect"]["message"] == "A defect ended it: RuntimeError: not thought of"
    assert "Traceback" in log.read_text()
    assert errors["kill"]["reference"] == "run-interrupted"
    assert not marked("test-parallel"), "what it had started is ended"


def test_what_a_task_leaves_running_ends_with_it() -> None:
    def leave(say: Say) -> int:
        return start(["setsid", "sleep", "60"], launch=Launch(mark="left-behind")).pid

    assert endings(run_side_by_side([Task("leave", leave)])) == {"leave": "done"}
    assert not marked("left-behind")


def test_the_stage_of_what_runs_is_told_each_second() -> None:
    def run(say: Say) -> None:
        say("make")
        time.sleep(1.3)

    events: list[Event] = []
    run_side_by_side([Task("slow", run, expected=2.0)], 1, events.append)
    assert [event.stage for event in events] == ["start", "make", "make", "done"]
    assert events[2].seconds >= 1.0 and events[2].expected == 2.0


def marked(mark: str) -> list[int]:
    table = process_table().values()
    return [item.pid for item in table if item.alive and environment_of(item.pid).get("HYPEROPENX_RUN") == mark]


LONG = """
    import os
    from slapos.build.command import CommandLog
    from slapos.build.parallel import Task, run_side_by_side

    def run(say):
        CommandLog({log!r}, environment=dict(os.environ)).shell("touch {began!r}; sleep 60; true", "/")

    run_side_by_side([Task("long", run), Task("longer", run)], 2)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_executor(tmp_path: Path, number: int) -> None:
    text = textwrap.dedent(LONG).format(log=str(tmp_path / "log"), began=str(tmp_path / "began"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    program = start(
        [sys.executable, "-c", text],
        launch=Launch(environment=environment, mark="outlived"),
        output=str(tmp_path / "out"),
    )
    wait_for((tmp_path / "began").exists, 10.0, "the work to begin")
    os.kill(program.pid, number)
    assert program.ends_within(8.0)
    wait_for(lambda: not marked("outlived"), 8.0, "its children to end")


def test_a_pool_that_is_not_there_is_not_used() -> None:
    assert shared_slots({}) is None
    assert shared_slots({"MAKEFLAGS": " -j2 --jobserver-auth=900,901"}) is None
    assert jobs_option({"MAKEFLAGS": "-k"}) == f"-j{len(os.sched_getaffinity(0))}"
    with tokens({}, 3) as jobs:
        assert jobs == 3


def test_who_cannot_share_takes_what_is_free() -> None:
    with Jobserver(4) as jobserver:
        environment = jobserver.environment()
        own = jobserver.pool.take()
        assert own
        assert jobs_option(environment) == ""
        assert "MAKEFLAGS" not in one_by_one(environment)
        of_ninja = ninja_environment(environment)
        assert f"fifo:/proc/self/fd/{jobserver.pool.reading}" in of_ninja["MAKEFLAGS"]
        assert shared_descriptors(of_ninja) == (jobserver.pool.reading,)
        with tokens(environment, 3) as jobs:
            assert jobs == 3
            with tokens(environment) as more:
                assert more == 2, "its own and the one that was left"
        with tokens(environment) as jobs:
            assert jobs == 4
