"""The base class that plugins of the field derive from (spec 06 §2, §3)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from slapos.grid.promise import generic
from slapos.grid.promise.interface import IPromise
from slapos.promises.generic import AnomalyResult, GenericPromise, TestResult


class Logs(GenericPromise):
    """Logs what it is told: ``[(level, message)]``."""

    def sense(self) -> None:
        for level, message in self.getConfig("say", ()):
            self.logger.log(level, message)


MADE: list[Logs] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """A real promise ends with its process."""
    yield
    for promise in MADE:
        for handler in promise.logger.handlers:
            with contextlib.suppress(OSError):  # /dev/full
                handler.close()
    MADE.clear()


def make(tmp_path: Path, *say: tuple[int, str], **config: object) -> Logs:
    launcher = {"name": "my.py", "log-folder": str(tmp_path), "partition-folder": "/p", "path": "/x", "say": say}
    promise = Logs(launcher | config)
    MADE.append(promise)
    return promise


def execute(tmp_path: Path, *say: tuple[int, str], **config: object) -> Logs:
    promise = make(tmp_path, *say, **config)
    promise.sense()
    return promise


GOOD, BAD = (20, "fine"), (40, "broken")


def test_the_names_of_the_field() -> None:
    assert generic.GenericPromise is GenericPromise
    assert IPromise.__name__ == "IPromise"


def test_names_and_configuration(tmp_path: Path) -> None:
    promise = make(tmp_path, key="value", **{"bang-on-failure": "false", "periodicity": "0.5"})
    assert (promise.getTitle(), promise.getName(), promise.getPromiseFile()) == ("my", "my.py", "/x")
    assert promise.getConfig("key") == "value"
    assert promise.getConfig("none", 3) == 3
    assert promise.getConfig("partition-folder") is None, "taken away"
    assert promise.getPartitionFolder() == "/p"
    assert promise.getPeriodicity() == 0.5
    assert not promise.isBangAllowed()
    promise.setConfig("key", 2)
    assert promise.getConfig("key") == 2


def test_the_log_has_the_format_of_the_field(tmp_path: Path) -> None:
    execute(tmp_path, GOOD, (40, "two\nlines"))
    lines = (tmp_path / "my.log").read_text().splitlines()
    pattern = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - (INFO|ERROR) - (\d+-\d{3}) - (.*)"
    found = [re.fullmatch(pattern, line) for line in lines]
    assert [match and match[3] for match in found] == ["fine", "two", None]
    assert found[0][2] == found[1][2], "one execution"


@pytest.mark.parametrize(
    ("say", "failed", "message"),
    [
        ((GOOD,), False, "fine"),
        ((BAD,), True, "broken"),
        ((GOOD, BAD, GOOD), True, "broken"),
        (((50, "critical"),), True, "critical"),
        (((30, "warned"),), False, "warned"),
        ((), False, "No result found!"),
    ],
)
def test_an_error_in_the_log_is_a_broken_promise(tmp_path: Path, say: tuple, failed: bool, message: str) -> None:
    promise = execute(tmp_path, *say)
    for result in (promise.test(), promise.anomaly()):
        assert result is not None
        assert (result.hasFailed(), result.message) == (failed, message)
    assert isinstance(promise.test(), TestResult)
    assert isinstance(promise.anomaly(), AnomalyResult)


@pytest.mark.parametrize(
    ("before", "count", "amount", "failed"),
    [((BAD, BAD), 3, 3, True), ((GOOD, BAD), 3, 3, False), ((GOOD, BAD), 3, 2, True), ((BAD,), 3, 3, False)],
)
def test_exactly_so_many_failures_are_a_problem(
    tmp_path: Path, before: tuple, count: int, amount: int, failed: bool
) -> None:
    for say in before:
        execute(tmp_path, say)
    assert execute(tmp_path, BAD)._test(count, amount).hasFailed() == failed


def test_after_a_good_execution_old_failures_do_not_count(tmp_path: Path) -> None:
    execute(tmp_path, BAD)
    assert not execute(tmp_path, GOOD)._test(3, 1).hasFailed()


def test_history_is_read_back_most_recent_first(tmp_path: Path) -> None:
    execute(tmp_path, (20, "one"))
    execute(tmp_path, (40, "two\nmore"))
    promise = execute(tmp_path, (20, "three"))
    found = promise.getLastPromiseResultList(result_count=5)
    assert [[entry["message"] for entry in entries] for entries in found] == [["three"], ["two\nmore"], ["one"]]
    assert abs((found[1][0]["date"] - datetime.now(UTC).replace(tzinfo=None)).total_seconds()) < 5
    assert len(promise.getLastPromiseResultList(result_count=5, only_failure=True)) == 1
    assert len(promise.getLastPromiseResultList(latest_minute=1, result_count=5)) == 3


def test_only_recent_history_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "my.log").write_text("2001-01-01 00:00:00 - ERROR - 978307200-111 - old\n")
    promise = execute(tmp_path, GOOD)
    assert len(promise.getLastPromiseResultList(latest_minute=1, result_count=5)) == 1
    assert len(promise.getLastPromiseResultList(result_count=5)) == 2


def test_a_full_disk_does_not_turn_a_failure_into_a_success(tmp_path: Path) -> None:
    (tmp_path / "my.log").symlink_to("/dev/full")
    promise = make(tmp_path)
    promise.logger.handlers[-1].handleError = lambda record: None
    promise.setConfig("say", (BAD,))
    promise.sense()
    assert promise.test().hasFailed()


def test_limits_and_switches(tmp_path: Path) -> None:
    assert len(TestResult(True, "x" * 9000 + "end").message) == 5000
    promise = make(tmp_path)
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="periodicity"):
            promise.setPeriodicity(wrong)
    promise.setTestLess()
    assert not promise.isTested()
    with pytest.raises(ValueError, match="never runs"):
        promise.setAnomalyLess()


def test_sense_must_be_defined() -> None:
    with pytest.raises(TypeError):
        GenericPromise({})  # type: ignore[abstract]
