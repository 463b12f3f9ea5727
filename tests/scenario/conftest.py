"""The table of what was played, at the end of the run and, when wanted, as JSON in a file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

from tests.scenario.rounds import Played

REPORT = "HYPEROPENX_SCENARIO_REPORT"
PLAYED = pytest.StashKey[list[Played]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[PLAYED] = []


@pytest.fixture(scope="session")
def played(pytestconfig: pytest.Config) -> list[Played]:
    """Rounds so far."""
    return pytestconfig.stash[PLAYED]


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    rounds = config.stash[PLAYED]
    if not rounds:
        return
    terminalreporter.section("rounds")
    for item in rounds:
        who = f"{item.number:3} {item.seed:12} {item.target:11} {item.change:16}"
        terminalreporter.write_line(f"{who} {item.seconds:6.1f} s  {item.interrupted}")
    if os.environ.get(REPORT):
        Path(os.environ[REPORT]).write_text(json.dumps([item.as_data() for item in rounds], indent=1))
