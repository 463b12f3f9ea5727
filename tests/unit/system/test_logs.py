"""The log of a daemon, as people, the journal and programs read it."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import pytest

from slapos.model.errors import InputError
from slapos.system.logs import VARIABLE, LogStyle, chosen_style, make_formatter
from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, start

PROGRAM = """
import logging
from slapos.system.logs import configure_logs
configure_logs()
log = logging.getLogger("slapos.node")
log.debug("hidden")
log.info("first\\nsecond ☃")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("a defect")
"""


def written(path: Path, **environment: str) -> list[str]:
    """What a process with these variables writes to its standard error, the file ``path``."""
    launch = Launch(environment={**CLEAN_ENVIRONMENT, **environment})
    assert start([sys.executable, "-c", PROGRAM], launch=launch, output=str(path)).wait() == 0
    return path.read_text().splitlines()


def test_every_line_for_the_journal_has_its_priority(tmp_path: Path) -> None:
    path = tmp_path / "stderr"
    path.touch()
    facts = os.stat(path)
    lines = written(path, JOURNAL_STREAM=f"{facts.st_dev}:{facts.st_ino}")
    assert lines[:2] == ["<6>slapos.node: first", "<6>second ☃"]
    assert lines[2] == "<3>slapos.node: a defect"
    assert lines[-1] == "<3>ZeroDivisionError: division by zero"
    assert all(line.startswith("<3>") for line in lines[2:])


def test_another_stream_is_for_people(tmp_path: Path) -> None:
    lines = written(tmp_path / "stderr", JOURNAL_STREAM="1:2")
    assert lines[0].endswith(" INFO slapos.node: first")


def test_json_is_one_object_a_line(tmp_path: Path) -> None:
    first, second = (json.loads(line) for line in written(tmp_path / "stderr", **{VARIABLE: "json"}))
    assert (first["level"], first["logger"], first["message"]) == ("info", "slapos.node", "first\nsecond ☃")
    assert first["time"].endswith("+00:00")
    assert second["error"].endswith("ZeroDivisionError: division by zero")


def test_a_wrong_style_is_named() -> None:
    with pytest.raises(InputError) as caught:
        chosen_style({VARIABLE: "xml"})
    assert caught.value.reference == "invalid-log-format"


@pytest.mark.parametrize(("level", "priority"), [(50, 2), (40, 3), (30, 4), (20, 6), (10, 7), (5, 7)])
def test_priorities(level: int, priority: int) -> None:
    record = logging.LogRecord("x", level, "f", 1, "text", (), None)
    assert make_formatter(LogStyle.JOURNAL).format(record) == f"<{priority}>x: text"
