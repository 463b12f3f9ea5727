"""SIGKILL of everybody at seeded moments: what is wanted comes true, nothing runs twice, nothing acknowledged is lost.

``HYPEROPENX_SCENARIO_ROUNDS`` (60), ``HYPEROPENX_SCENARIO_SEED``, ``HYPEROPENX_SCENARIO_DEADLINE`` (seconds) choose;
``HYPEROPENX_SCENARIO_REPORT`` names a file for the table as JSON.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.scenario.rounds import Played, Round, deal
from tests.scenario.stage import Stage, open_stage

ROUNDS = int(os.environ.get("HYPEROPENX_SCENARIO_ROUNDS", "60"))
SEED = int(os.environ.get("HYPEROPENX_SCENARIO_SEED", "20261123"))
ALL = 60
LEAST = 10
"""Of sixty rounds: during buildout, and during a commit."""

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module", name="stage")
def fixture_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("scenario")
    (directory / "cloud").mkdir()
    with open_stage(directory) as stage:
        yield stage


@pytest.mark.parametrize(("number", "target"), list(enumerate(deal(ROUNDS, SEED))))
def test_round(stage: Stage, played: list[Played], number: int, target: str) -> None:
    one = Round(stage, number, target, f"{SEED}-{number}")
    played.append(one.played)
    assert one.play().interrupted, "the moment was never hit"


def test_all_that_was_acknowledged_is_there(stage: Stage, played: list[Played]) -> None:
    stage.paper.check_all()
    assert stage.watch.findings == []
    assert stage.watch.looks > len(played)


def test_the_rounds_hit_what_they_should(played: list[Played]) -> None:
    found = Counter(item.during for item in played)
    least = LEAST * len(played) // ALL
    assert found["buildout"] >= least
    assert found["commit"] >= least
