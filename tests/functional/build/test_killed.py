"""SIGKILL at random moments of a parallel build: the store never holds a part that differs from an undisturbed one."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

from slapos.build.store.store import Store
from slapos.build.store.unused import remove_unused
from tests.functional.build.killed import NEEDS, Killed

KILLS = int(os.environ.get("HYPEROPENX_KILLED_BUILDS", "6"))
SEED = os.environ.get("HYPEROPENX_KILLED_SEED", "20261123")


@pytest.fixture
def killed(tmp_path: Path) -> Killed:
    scene = Killed(tmp_path)
    scene.prepare()
    return scene


@pytest.mark.timeout(180 + 120 * KILLS)
def test_a_killed_build_leaves_only_whole_parts(killed: Killed) -> None:
    chance = random.Random(SEED)
    kills: list[str] = []
    seen: set[int] = set()
    rounds = 0
    while len(kills) < KILLS:
        rounds += 1
        assert rounds < 5 * KILLS + 20, f"builds end before they are killed: {kills}"
        victim = killed.round(chance)
        killed.check()
        seen.add(len(killed.whole()))
        kills += [victim] if victim else []
    told = ", ".join(f"{victim} {kills.count(victim)}" for victim in sorted(set(kills)))
    sys.stdout.write(f"\nkilled: {told}, in {rounds} builds of {killed.seconds:.1f} s; parts left: {sorted(seen)}\n")
    assert killed.start("confined.cfg").wait() == 0, (killed.directory / "output").read_text()
    assert killed.whole() == killed.contents
    store = Store((str(killed.store),))
    remove_unused(store, 0.0)
    assert killed.whole() == killed.contents, "all is used"
    assert os.listdir(killed.store / ".work") == []
    places = {path.parent.name for path in killed.store.glob("[a-z]*/*")}
    assert places == set(NEEDS)
    assert len(list(killed.store.glob("[a-z]*/*"))) == len(NEEDS), "nothing half-done is left"
