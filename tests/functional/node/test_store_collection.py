"""The node and the parts of its store that nothing uses: marked, kept for a grace time, removed, whatever is killed."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.build.store.inputs import Inputs
from slapos.build.store.store import Store
from slapos.build.store.users import note_use
from slapos.cli.main import run as slapos
from slapos.model.errors import Conflict
from slapos.node import operations
from slapos.node.config import load_config, write_config
from slapos.node.context import layout_of
from slapos.node.plan import Kind
from slapos.node.records import load_store_record
from slapos.node.store import cycle
from slapos.node.store.observe import builder, observe_store
from slapos.node.wiring import open_node
from slapos.system.as_owner import as_owner
from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, start
from slapos.system.users import Identity
from slapos.testing.waiting import wait_for
from tests.functional.node.harness import RealNode, Site

_SIZE = 1000


def inputs(part: str, **dependencies: str) -> Inputs:
    return Inputs(part, "test:make", "1", dependencies=dependencies)


def _build(root: str, part: str, dependencies: dict[str, str], files: int = 1) -> str:
    """As whoever this is; ``part/digest``."""
    os.umask(0o022)
    what = inputs(part, **dependencies)
    with Store((root,)).building(part, what.digest) as building:
        if building is not None:
            os.mkdir(building.tree)
            for number in range(files):
                Path(building.tree, str(number)).write_text("x" * _SIZE)
            building.finish(what)
    return f"{part}/{what.digest}"


class Stored:
    """The store of a node, filled as its builds would do."""

    def __init__(self, node: RealNode) -> None:
        self.node = node
        self.root = node.config.store_root[0]
        self.store = Store((self.root,))
        os.makedirs(self.root, exist_ok=True)
        user = builder(open_node(node.config))
        if user is not None:
            os.chown(self.root, user.uid, user.gid)

    def build(self, part: str, needs: str = "", files: int = 1) -> str:
        dependencies = dict([needs.split("/")]) if needs else {}
        name: str = as_owner(self.root, _build, self.root, part, dependencies, files)
        return name

    def note(self, directory: Path, *names: str) -> None:
        as_owner(self.root, note_use, self.store, str(directory), list(names))

    @property
    def names(self) -> set[str]:
        return {stored.record.name for stored in self.store.parts()}

    def prune(self, grace: float) -> list[str]:
        """What was done."""
        plan, _ = operations.prune(self.node.config, grace)
        return [f"{action.kind} {action.subject}" for action in plan.actions]


@pytest.fixture
def stored(node: RealNode) -> Iterator[Stored]:
    made = Stored(node)
    yield made
    made.prune(0.0)
    assert made.names == set()


@pytest.fixture
def user(site: Site) -> Iterator[Path]:
    """A directory that uses parts."""
    path = site.directory / "user"
    path.mkdir()
    yield path
    if path.exists():
        path.rmdir()


def test_unused_parts_wait_and_go_and_used_ones_stay(stored: Stored, user: Path) -> None:
    base = stored.build("base")
    tool = stored.build("tool", base)
    spare = stored.build("spare")
    stored.note(user, tool)
    assert stored.prune(3600.0) == [f"mark-part {spare}"]
    plan, sentence = operations.prune(stored.node.config, 3600.0, dry_run=True)
    assert (plan.actions, sentence) == ((), "")
    assert [skip.subject for skip in plan.skips] == [spare]
    assert stored.names == {base, tool, spare}
    assert stored.prune(0.0) == [f"remove-part {spare}"]
    assert stored.names == {base, tool}
    record = load_store_record(layout_of(stored.node.config))
    assert (record.removed, record.freed, record.unused) == (1, _SIZE, {})
    user.rmdir()
    assert stored.prune(0.0) == [f"remove-part {tool}", f"remove-part {base}"]


def test_what_files_of_a_partition_name_stays(stored: Stored) -> None:
    names = [stored.build(part) for part in ("wrapped", "linked", "data", "elsewhere")]
    directory = Path(stored.node.config.partition_directory("slappart1"))
    for inner in ("bin", "srv"):
        (directory / inner).mkdir()
    (directory / "bin" / "run").write_text(f"#!/bin/sh\nexec {stored.root}/{names[0]}/run\n")
    (directory / "bin" / "program").symlink_to(f"{stored.root}/{names[1]}/program")
    (directory / "srv" / "dump").write_text(f"{stored.root}/{names[2]}")
    (directory / "bin" / "other").write_text(f"/other/store/{names[3]}")
    os.mkfifo(directory / "bin" / "pipe")
    try:
        assert sorted(stored.prune(0.0)) == sorted(f"remove-part {name}" for name in names[2:])
        seen = observe_store(open_node(stored.node.config))
        assert seen is not None
        assert {seen.used[name] for name in names[:2]} == {"slappart1"}
    finally:
        for path in sorted(directory.glob("bin/*")):
            path.unlink()
        (directory / "srv" / "dump").unlink()
        (directory / "srv").rmdir()
        (directory / "bin").rmdir()


def test_what_a_build_began_to_use_after_the_plan_stays(
    stored: Stored, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = stored.build("tool")
    plan = cycle.plan_store_now

    def then_used(*given: object) -> object:
        made = plan(*given)  # type: ignore[arg-type]
        stored.note(user, tool)
        return made

    monkeypatch.setattr(cycle, "plan_store_now", then_used)
    found, sentence = operations.prune(stored.node.config, 0.0)
    assert [action.kind for action in found.actions] == [Kind.REMOVE_PART]
    assert sentence == "0 unused parts were removed, 0 B freed."
    assert stored.names == {tool}
    user.rmdir()


def test_what_is_being_built_or_looked_at_stays(stored: Stored) -> None:
    tool = stored.build("tool")
    stored.build("half")
    stored.prune(0.0)  # the locks are left, and belong to the builder
    stored.build("tool")
    with stored.store.lock(tool.replace("/", "-")):
        stored.prune(0.0)
    assert stored.names == {tool}
    half = inputs("half")
    with contextlib.suppress(Conflict), stored.store.building("half", half.digest) as building:
        assert building is not None
        assert stored.prune(0.0) == [f"remove-part {tool}"], "what somebody is busy with was not left by anybody"
        assert os.path.isdir(building.work)


def test_the_command_plans_and_removes(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    tool = stored.build("tool")
    for words, left in ((["--dry-run", "--keep", "0"], {tool}), (["--keep", "0"], set())):
        assert slapos(["--cfg", stored.node.cfg, "node", "prune", *words]) == 0
        assert f"remove the part {tool}: nothing uses it; 1000 B" in capsys.readouterr().out
        assert stored.names == left
    assert slapos(["--cfg", stored.node.cfg, "node", "plan"]) == 0
    assert f"{stored.root}: nothing to do" in capsys.readouterr().out


def test_killed_at_any_moment_nothing_is_half_there(stored: Stored) -> None:
    """The process that removes is killed after ever more time; what is left is whole, and the next one goes on."""
    user = builder(open_node(stored.node.config))
    code = f"from slapos.build.store.unused import *; remove_unused(Store(({stored.root!r},)), 0.0)"
    ends = [killed_after(number * 0.004, stored, [sys.executable, "-P", "-c", code], user) for number in range(6)]
    assert -signal.SIGKILL in ends


def killed_after(seconds: float, stored: Stored, command: list[str], user: Identity | None) -> int:
    """How the command ended that is to remove two parts and is killed so long after the first of them went."""
    base = stored.build("base", files=300)
    tool = stored.build("tool", base, files=300)
    started = start(command, launch=Launch(user=user, environment=CLEAN_ENVIRONMENT))
    wait_for(lambda: stored.names != {base, tool} or started.popen.poll() is not None, 20, "it began")
    if not started.ends_within(seconds):
        os.kill(started.pid, signal.SIGKILL)
    code = started.wait()
    assert tool not in stored.names, "a part goes before what it needs"
    for part in stored.store.parts():
        assert len(os.listdir(part.location)) == 301, "a part that is there is whole"
    stored.prune(0.0)
    assert stored.names == set()
    assert os.listdir(os.path.join(stored.root, ".work")) == []
    return code


def test_the_node_does_it_by_itself(site: Site, node: RealNode, stored: Stored) -> None:
    before = load_config(node.cfg)
    tool = stored.build("tool")
    node.kill()
    write_config(node.cfg, dataclasses.replace(before, collect_period=1.0, collect_grace=2.0))
    try:
        node.start()
        wait_for(lambda: "1 unused parts were removed, 1000 B freed" in node.log(), 30, "the unused part goes")
        assert stored.names == set()
        log = node.log()
        assert f"begin the grace time of the part {tool}: nothing uses its 1000 B" in log
        assert f"remove the part {tool}: nothing has used it since" in log
    finally:
        node.kill()
        write_config(node.cfg, before)
        node.start()
