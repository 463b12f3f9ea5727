"""Running the promises of one partition: each in a process of its own, as the partition's user, within a time limit."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import slapos.promises.child
from slapos.model.errors import InputError, MachineError
from slapos.model.objects import PromiseResult
from slapos.promises.discovery import Kind, Promise, find_promises
from slapos.promises.history import Cached, History
from slapos.system.processes import CLEAN_ENVIRONMENT, Completed, Launch, run
from slapos.system.users import Identity

MESSAGE_LIMIT = 5000
_EXECUTABLE_PERIOD = 2.0  # minutes
_EXECUTABLE_FAILURES = 3  # in a row, before an anomaly is one
_CHILD = slapos.promises.child.__file__
_OURS = os.path.dirname(os.path.dirname(os.path.dirname(_CHILD)))


class Mode(StrEnum):
    """TEST after processing; ANOMALY while the instance runs."""

    TEST = "test"
    ANOMALY = "anomaly"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where and how.  ``user`` None: as ourselves; ``timeout`` seconds for each promise.

    ``config``: what plugins are told (``partition-id``, ``computer-id``, ``master-url``, ``partition-cert``,
    ``partition-key``).  ``python``: the interpreter of the release, empty for ours.  ``workers``: how many run at once.
    """

    directory: str
    user: Identity | None = None
    timeout: float = 20.0
    config: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    workers: int = 2


@dataclass(frozen=True)
class Judged:
    """What came of the promises.  ``next_run``: UTC epoch seconds at which the first of them is due, None without any.

    ``bangs``: titles of those that ask that the instance be processed again.
    """

    results: tuple[PromiseResult, ...]
    next_run: float | None = None
    bangs: tuple[str, ...] = ()

    @property
    def failed(self) -> PromiseResult | None:
        """The first that is not kept."""
        return next((result for result in self.results if not result.ok), None)


@dataclass(frozen=True)
class _Answer:
    """``result`` None: the promise does not run in this mode."""

    result: PromiseResult | None
    cached: Cached
    bang: bool = False


def run_promises(
    setting: Setting, *, mode: Mode = Mode.TEST, force: bool = True, only: Sequence[str] | None = None
) -> Judged:
    """Run those that are due (``force``: all; ``only``: with these names) and give the results of all of them.

    A promise that is not due contributes its stored result.  Never raises for what a promise does.
    """
    promises = [promise for promise in find_promises(setting.directory) if only is None or promise.name in only]
    if not promises:
        return Judged(())
    user = setting.user
    history = History(setting.directory, owner=None if user is None else (user.uid, user.gid))
    try:
        history.prepare()
    except (OSError, InputError) as error:
        return _unprepared(promises, error)
    runner = _Runner(setting, mode, history)
    if len(promises) == 1:  # the common case needs no other thread
        answers = [runner.answer(promises[0], force)]
    else:
        with ThreadPoolExecutor(max_workers=setting.workers) as pool:
            answers = list(pool.map(lambda promise: runner.answer(promise, force), promises))
    return Judged(
        results=tuple(answer.result for answer in answers if answer.result is not None),
        next_run=min(answer.cached.next_run for answer in answers),
        bangs=tuple(promise.title for promise, answer in zip(promises, answers, strict=True) if answer.bang),
    )


def _unprepared(promises: Sequence[Promise], error: Exception) -> Judged:
    """The partition has no place for results (a full disk, a link): nothing can be promised."""
    now, message = int(time.time()), f"Error: the folder of results cannot be used: {error}"
    results = tuple(PromiseResult(promise.name, False, message[:MESSAGE_LIMIT], now) for promise in promises)
    return Judged(results, now + _EXECUTABLE_PERIOD * 60)


class _Runner:
    def __init__(self, setting: Setting, mode: Mode, history: History) -> None:
        self.setting = setting
        self.mode = mode
        self.history = history

    def answer(self, promise: Promise, force: bool) -> _Answer:
        now = time.time()
        if promise.refused:
            message = f"The promise {promise.name!r} is not run: {promise.refused}."
            return _Answer(PromiseResult(promise.name, False, message, int(now)), Cached(next_run=now + 3600))
        cached = self.history.cached(promise)
        if not force and cached.next_run > now:
            enabled = cached.tested if self.mode is Mode.TEST else cached.anomaly
            stored = self.history.last_result(promise) if enabled else None
            if stored is not None or not enabled:
                return _Answer(stored, cached)
        return self._run(promise, cached, now)

    def _run(self, promise: Promise, cached: Cached, now: float) -> _Answer:
        try:
            if promise.kind is Kind.PLUGIN:
                data, seconds = self._plugin(promise)
            else:
                data, seconds = self._executable(promise, cached)
        except MachineError as error:
            data, seconds = {"failed": True, "message": f"Error: {error}"}, 0.0
        failed, message = bool(data.get("failed")), str(data.get("message", ""))[-MESSAGE_LIMIT:]
        periodicity = _positive(data.get("periodicity"), cached.periodicity)
        new = Cached(
            next_run=now + periodicity * 60,
            tested=bool(data.get("tested", True)),
            anomaly=bool(data.get("anomaly", True)),
            periodicity=periodicity,
            failures=cached.failures + 1 if data.get("bad", failed) else 0,
        )
        self.history.keep_cached(promise, new, now)
        if data.get("skipped"):
            return _Answer(None, new)
        result = PromiseResult(promise.name, not failed, message, int(time.time()), round(seconds, 3))
        kind = str(data.get("type", "Test Result"))
        self.history.keep_result(promise, result, kind)
        bang = self.mode is Mode.ANOMALY and failed and kind == "Anomaly Result" and bool(data.get("bang"))
        return _Answer(result, new, bang)

    def _launch(self) -> Launch:
        setting = self.setting
        environment = {**CLEAN_ENVIRONMENT, "HOME": setting.directory, **setting.environment}
        return Launch(
            directory=setting.directory,
            environment=environment,
            user=setting.user,
            umask=0o027,
            mark=secrets.token_hex(8),
        )

    def _plugin(self, promise: Promise) -> tuple[dict[str, Any], float]:
        setting, token = self.setting, secrets.token_hex(8)
        request = {
            "file": promise.path,
            "name": promise.title,
            "config": {
                "log-folder": self.history.log_folder(),
                "partition-folder": setting.directory,
                "debug": False,
                "promise-timeout": setting.timeout,
                "slapgrid-version": "",
                **setting.config,
                "path": promise.path,
                "name": promise.name,
            },
            "mode": str(self.mode),
            "token": token,
            "paths": [] if setting.python else [_OURS],
        }
        # isolated: neither the environment nor the partition's directory decides what is imported
        command = (setting.python or sys.executable, "-I", _CHILD)
        done = run(
            command,
            launch=self._launch(),
            timeout=setting.timeout,
            stdin=json.dumps(request).encode(),
            output_limit=64 * 1024,
        )
        if done.timed_out:
            return self._timed_out(promise), done.seconds
        return _read_answer(done, token), done.seconds

    def _executable(self, promise: Promise, cached: Cached) -> tuple[dict[str, Any], float]:
        setting = self.setting
        done = run((promise.path,), launch=self._launch(), timeout=setting.timeout, output_limit=MESSAGE_LIMIT)
        message = done.text.strip()
        bad = done.code != 0
        if done.timed_out:
            message = _timeout_message(setting.timeout)
        self.history.log(promise, "ERROR" if bad else "INFO", message, time.time())
        if done.timed_out:
            return {**self._timed_out(promise), "bad": True}, done.seconds
        failed = bad and (self.mode is Mode.TEST or cached.failures + 1 >= _EXECUTABLE_FAILURES)
        message = message or ("Error: No output returned by the promise" if bad else "")
        return {"failed": failed, "bad": bad, "message": message, "periodicity": _EXECUTABLE_PERIOD}, done.seconds

    def _timed_out(self, promise: Promise) -> dict[str, Any]:
        """While the instance runs, one slow answer is not a failure yet: two in a row are (spec 06 §2)."""
        failed = True
        if self.mode is Mode.ANOMALY:
            stored = self.history.last_result(promise)
            failed = stored is not None and (not stored.ok or "error:" in stored.message.lower())
        return {"failed": failed, "bad": True, "message": _timeout_message(self.setting.timeout)}


def _timeout_message(seconds: float) -> str:
    return f"Error: Promise timed out after {seconds:g} seconds"


def _read_answer(done: Completed, token: str) -> dict[str, Any]:
    """The object on the last line with the token; a failure that shows the output when there is none."""
    for line in reversed(done.text.splitlines()):
        if line.startswith(token + " "):
            try:
                data = json.loads(line[len(token) + 1 :])
            except ValueError:
                break
            if isinstance(data, dict):
                return data
    shown = done.text.strip()[-MESSAGE_LIMIT + 100 :]
    return {"failed": True, "message": f"Error: No output returned by the promise\n{shown}".strip()}


def _positive(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else default
