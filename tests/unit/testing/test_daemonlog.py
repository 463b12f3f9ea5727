"""The log of the daemon as the scenario and the benchmark read it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from slapos.node.plan import PHRASES, Action, Kind
from slapos.testing.daemonlog import DaemonLog, parse_line

DATE = "2026-11-23 07:54:14,672"


@pytest.mark.parametrize("kind", list(PHRASES))
def test_every_action_is_known_again(kind: Kind) -> None:
    line = parse_line(f"{DATE} INFO slappart0: {Action(kind, 'nginx', 'it is new')}")
    assert line is not None
    assert (line.subject, line.kind) == ("slappart0", kind)
    assert line.at == datetime(2026, 11, 23, 7, 54, 14, 672000).timestamp()


@pytest.mark.parametrize(
    "text",
    ["serving, 4 promises ok", "waiting for its release: building a (1 of 2), 3 s", "stopped", "running buildout"],
)
def test_sentences_are_no_actions(text: str) -> None:
    line = parse_line(f"{DATE} INFO slappart0: {text}")
    assert line is not None
    assert line.kind is None


def test_what_is_about_nothing_is_left_out() -> None:
    assert parse_line(f"{DATE} INFO the certificate of the node was renewed") is None
    assert parse_line("Traceback (most recent call last):") is None


def test_open_actions_are_those_that_nothing_ended(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(f"{DATE} INFO slappart0: start the new service a: it is new\n")
    log = DaemonLog(str(path))
    mark = log.end()
    with path.open("a") as stream:
        stream.write(f"{DATE} INFO slappart0: serving, 1 promise ok\n")
        stream.write(f"{DATE} INFO slappart1: run buildout in slappart1: it never ran here\n")
        stream.write(f"{DATE} INFO slappart2: stop the service b: it is")
    assert list(log.open_actions(0)) == ["slappart1"]
    assert [line.subject for line in log.lines(mark)] == ["slappart0", "slappart1"]
