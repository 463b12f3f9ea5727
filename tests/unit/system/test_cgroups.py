"""A limit on processes for root, with the real controller where there is one."""

from __future__ import annotations

import os
import time

import pytest

from slapos.system.cgroups import bounded_processes, joined
from slapos.system.processes import run

FORK = "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i + 1)); done; echo all"


def test_no_more_processes_than_the_limit() -> None:
    with bounded_processes(20) as group:
        if not group:
            pytest.skip("no group can be made here")
        assert os.path.isdir(os.path.dirname(group))
        begin = time.monotonic()
        done = run(joined(group, ["timeout", "-s", "KILL", "3", "sh", "-c", FORK]))
        assert "all" not in done.text
        assert "ork" in done.text  # Cannot fork
        assert time.monotonic() - begin < 30
        run(["sh", "-c", f"while read pid; do kill -KILL $pid; done < {group}"])
    assert not os.path.exists(os.path.dirname(group))


def test_a_command_that_cannot_join_runs_all_the_same() -> None:
    assert run(joined("/nonexistent/cgroup.procs", ["echo", "two words"])).text == "two words\n"
    assert joined("", ["true"]) == ["true"]
