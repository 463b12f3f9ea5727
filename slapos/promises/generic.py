"""The base class of promise plugins: names and behaviour as plugins of the field expect (spec 06 §2, §3).

A plugin runs in an interpreter of its own, as the user of its partition.  Standard library only: a plugin throws every
``slapos`` module out of the process and imports this one again.
"""

from __future__ import annotations

import logging
import os
import random
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

PROMISE_STATE_FOLDER_NAME = ".slapgrid/promise"
PROMISE_PARAMETER_NAME = "extra_config_dict"
ERROR_LEVEL = ("CRITICAL", "ERROR")
PROMISE_LOG_FOLDER_NAME = ".slapgrid/promise/log"
PROMISE_RESULT_FOLDER_NAME = ".slapgrid/promise/result"
PROMISE_CACHE_FOLDER_NAME = ".slapgrid/promise/cache"
MESSAGE_LIMIT = 5000
DEFAULT_PERIODICITY = 2.0  # minutes
_READ_LIMIT = 1024 * 1024
_DATE = "%Y-%m-%d %H:%M:%S"
_FORMAT = "%(asctime)s - %(levelname)s - {execution} - %(message)s"
_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) - ([A-Z]+) - (\d+-\d{3}) - (.*)")
_PRIVATE = ("log-folder", "partition-folder", "debug", "name", "path", "queue", "periodicity", "bang-on-failure")
_BAD = frozenset(ERROR_LEVEL)


class BaseResult:
    """``problem`` True: the promise is not kept.  Of the message the last 5,000 characters are kept."""

    def __init__(self, problem: bool = False, message: str | None = None, date: datetime | None = None) -> None:
        self.__problem = problem
        self.__message = (message or "")[-MESSAGE_LIMIT:]
        self.__date = date or datetime.now(UTC).replace(tzinfo=None)

    def hasFailed(self) -> bool:
        return self.__problem

    @property
    def type(self) -> str:
        return "Base Result"

    @property
    def message(self) -> str:
        return self.__message

    @property
    def date(self) -> datetime:
        """Naive, UTC."""
        return self.__date


class TestResult(BaseResult):
    """Of :meth:`GenericPromise.test`."""

    __test__ = False  # not for pytest

    @property
    def type(self) -> str:
        return "Test Result"


class AnomalyResult(BaseResult):
    """Of :meth:`GenericPromise.anomaly`."""

    @property
    def type(self) -> str:
        return "Anomaly Result"


class _Memory(logging.Handler):
    """What this execution logged, so that a full disk cannot make a failure pass for a success."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        date = datetime.fromtimestamp(int(record.created), UTC).replace(tzinfo=None)
        self.entries.append({"date": date, "status": record.levelname, "message": record.getMessage()})


class GenericPromise(ABC):
    """A plugin declares ``class RunPromise(GenericPromise)`` with :meth:`sense`."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.__config = {key: value for key, value in config.items() if key not in _PRIVATE}
        self.__name = str(config.get("name", "promise"))
        self.__title = os.path.splitext(self.__name)[0]
        self.__path = str(config.get("path", ""))
        self.__partition_folder = str(config.get("partition-folder", ""))
        self.__log_folder = str(config.get("log-folder") or "")
        self.__debug = bool(config.get("debug"))
        self.__bang = str(config.get("bang-on-failure", "true")).lower() in {"true", "1", "yes"}
        self.__tested = True
        self.__anomaly_detected = True
        self.__periodicity = DEFAULT_PERIODICITY
        self.setPeriodicity(config.get("periodicity") or config.get("frequency") or DEFAULT_PERIODICITY)
        self.__execution = f"{int(time.time())}-{random.randint(100, 999)}"
        self.__memory = _Memory()
        self.logger = self.__make_logger()

    def __make_logger(self) -> logging.Logger:
        logger = logging.Logger(self.__title, logging.DEBUG if self.__debug else logging.INFO)
        logger.addHandler(self.__memory)
        formatter = logging.Formatter(_FORMAT.format(execution=self.__execution), _DATE)
        formatter.converter = time.gmtime
        handlers: list[logging.Handler] = [logging.StreamHandler()] if self.__debug else []
        log_file = self.getLogFile()
        if log_file is not None:
            os.makedirs(self.__log_folder, exist_ok=True)
            handlers.append(logging.FileHandler(log_file, encoding="utf-8", errors="backslashreplace"))
        for handler in handlers:
            handler.setFormatter(formatter)
            logger.addHandler(handler)
        return logger

    # what a plugin defines

    @abstractmethod
    def sense(self) -> None:
        """Check, and log what was seen: any record of level ERROR or CRITICAL means that the promise is not kept."""

    def test(self) -> TestResult | None:
        """Whether the promise is kept, after the instance was processed."""
        return self._test(1, 1)

    def anomaly(self) -> AnomalyResult | None:
        """Whether something is wrong with an instance that was fine."""
        return self._anomaly(1, 1)

    # what it may use

    def getConfig(self, key: str, default: Any = None) -> Any:
        return self.__config.get(key, default)

    def setConfig(self, key: str, value: Any) -> None:
        self.__config[key] = value

    def getTitle(self) -> str:
        return self.__title

    def getName(self) -> str:
        return self.__name

    def getPromiseFile(self) -> str:
        return self.__path

    def getPartitionFolder(self) -> str:
        return self.__partition_folder

    def getLogFolder(self) -> str:
        return self.__log_folder

    def getLogFile(self) -> str | None:
        return os.path.join(self.__log_folder, f"{self.__title}.log") if self.__log_folder else None

    def setPeriodicity(self, minute: float | str) -> None:
        """Minutes between two runs, fractions allowed; :class:`ValueError` unless it is above 0."""
        if float(minute) <= 0:
            raise ValueError(f"Cannot set promise periodicity to a value less than or equal to 0: {minute}")
        self.__periodicity = float(minute)

    def getPeriodicity(self) -> float:
        return self.__periodicity

    def setTestLess(self) -> None:
        """Not run after processing; :class:`ValueError` when it would never run."""
        if not self.__anomaly_detected:
            raise ValueError("A promise without test and without anomaly never runs.")
        self.__tested = False

    def setAnomalyLess(self) -> None:
        """Not run later; :class:`ValueError` when it would never run."""
        if not self.__tested:
            raise ValueError("A promise without test and without anomaly never runs.")
        self.__anomaly_detected = False

    def isTested(self) -> bool:
        return self.__tested

    def isAnomalyDetected(self) -> bool:
        return self.__anomaly_detected

    def allowBang(self, allow: bool = True) -> None:
        self.__bang = allow

    def isBangAllowed(self) -> bool:
        return self.__bang

    def getLastPromiseResultList(
        self, latest_minute: float = 0, result_count: int = 1, only_failure: bool = False
    ) -> list[list[dict[str, Any]]]:
        """Executions, the most recent first, each a list of ``{"date", "status", "message"}``.

        ``latest_minute`` above 0: only those that are younger; ``only_failure``: only those with an ERROR.
        """
        executions = [self.__memory.entries] if self.__memory.entries else []
        executions += [entries for execution, entries in self.__logged() if execution != self.__execution]
        if latest_minute > 0:
            oldest = datetime.now(UTC).replace(tzinfo=None).timestamp() - latest_minute * 60
            executions = [entries for entries in executions if entries[0]["date"].timestamp() >= oldest]
        if only_failure:
            executions = [entries for entries in executions if _failed(entries)]
        return executions[:result_count]

    def _test(self, result_count: int = 1, failure_amount: int = 1, latest_minute: float = 0) -> TestResult:
        problem, message = self.__judge(result_count, failure_amount, latest_minute)
        return TestResult(problem=problem, message=message)

    def _anomaly(self, result_count: int = 1, failure_amount: int = 1, latest_minute: float = 0) -> AnomalyResult:
        problem, message = self.__judge(result_count, failure_amount, latest_minute)
        return AnomalyResult(problem=problem, message=message)

    def __judge(self, result_count: int, failure_amount: int, latest_minute: float) -> tuple[bool, str]:
        """A problem: the last execution failed, and ``failure_amount`` of the last ``result_count`` did."""
        executions = self.getLastPromiseResultList(latest_minute, result_count)
        if not executions:
            return False, "No result found!"
        failures = sum(map(_failed, executions))
        last = executions[0]
        shown = [entry["message"] for entry in last if entry["status"] in _BAD] or [entry["message"] for entry in last]
        return _failed(last) and failures == failure_amount, "\n".join(shown)

    def __logged(self) -> list[tuple[str, list[dict[str, Any]]]]:
        """Executions in the log, the most recent first."""
        path = self.getLogFile()
        found: dict[str, list[dict[str, Any]]] = {}
        last: dict[str, Any] | None = None
        for line in _last_lines(path) if path else ():
            match = _LINE.fullmatch(line)
            if match:
                date = datetime.strptime(match[1], _DATE)
                last = {"date": date, "status": match[2], "message": match[4]}
                found.setdefault(match[3], []).append(last)
            elif last is not None:
                last["message"] += "\n" + line
        return list(found.items())[::-1]


def _failed(entries: list[dict[str, Any]]) -> bool:
    return any(entry["status"] in _BAD for entry in entries)


def _last_lines(path: str) -> list[str]:
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _READ_LIMIT))
            text = stream.read(_READ_LIMIT).decode("utf-8", errors="replace")
    except OSError:
        return []
    return text.splitlines()
