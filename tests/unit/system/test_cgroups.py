"""Limits on processes and memory for root, with the real controllers where there are some."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

import pytest

from slapos.system.cgroups import Group, bounded
from slapos.system.processes import run

MIB = 1024 * 1024
FORK = "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i + 1)); done; echo all"
EAT = "kept = []\nfor _ in range({count}):\n    kept.append(b'x' * 1048576)\nprint('all')"


@pytest.fixture
def group() -> Iterator[Group]:
    with bounded(20, 100 * MIB) as made:
        if not made.directories:
            pytest.skip("no group can be made here")
        yield made
    assert not any(map(os.path.exists, made.directories))


def has(group: Group, *names: str) -> bool:
    return any(os.path.exists(os.path.join(directory, name)) for directory in group.directories for name in names)


def test_no_more_processes_than_the_limit(group: Group) -> None:
    if not has(group, "pids.max"):
        pytest.skip("no pids controller here")
    begin = time.monotonic()
    done = run(group.joined(["timeout", "-s", "KILL", "3", "sh", "-c", FORK]))
    assert "all" not in done.text
    assert "ork" in done.text  # Cannot fork
    assert time.monotonic() - begin < 30
    for directory in group.directories:
        run(["sh", "-c", f"while read pid; do kill -KILL $pid; done < {directory}/cgroup.procs"])


def test_no_more_memory_than_the_limit(group: Group) -> None:
    if not has(group, "memory.max", "memory.limit_in_bytes"):
        pytest.skip("no memory controller here")
    assert run(group.joined([sys.executable, "-c", EAT.format(count=20)])).text == "all\n"
    assert not group.out_of_memory
    assert run(group.joined([sys.executable, "-c", EAT.format(count=300)])).code == -9
    assert group.out_of_memory


def test_a_command_that_cannot_join_runs_all_the_same() -> None:
    assert run(Group(("/nonexistent", "/neither")).joined(["echo", "two words"])).text == "two words\n"
    assert Group().joined(["true"]) == ["true"]
    assert not Group().out_of_memory
