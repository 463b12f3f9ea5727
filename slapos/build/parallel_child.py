"""The process of one task: see :mod:`slapos.build.parallel`.

A defect of the task is told with its traceback in the log and its last line in the result; it never returns into the
copy of the parent's program.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from slapos.model.errors import HyperopenxError, InternalError, machine_error
from slapos.system.lineage import adopt_orphans, default_signals, die_with
from slapos.system.proctable import descendants, end_processes, process_table

Say = Callable[[str], None]


class Stopped(BaseException):
    """The task is to end now."""


def run_child(task: Callable[[Say], Any], pipe: int, *, parent: int, log: str, environment: Mapping[str, str]) -> None:
    """Do the work and tell through ``pipe``.  Never returns."""
    code = 1
    try:
        code = _work(task, pipe, (parent, log, environment))
    finally:
        os._exit(code)


def _work(task: Callable[[Say], Any], pipe: int, settings: tuple[int, str, Mapping[str, str]]) -> int:
    try:
        _settle(*settings)
        _tell(pipe, _result_of(task, pipe))
        return 0
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        defect = sys.exc_info()[1]
        if defect is not None and not isinstance(defect, Stopped):
            _tell(pipe, {"error": _defect(defect)})
        _end_descendants()
        sys.stdout.flush()
        sys.stderr.flush()


def _settle(parent: int, log: str, environment: Mapping[str, str]) -> None:
    os.setsid()
    default_signals()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends this process
    signal.signal(signal.SIGTERM, _on_term)
    die_with(parent, signal.SIGTERM)
    adopt_orphans()
    os.environ.update(environment)
    if log:
        _write_to(log)


def _on_term(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: what is cleaned up now is not to be cut
    raise Stopped


def _write_to(log: str) -> None:
    os.makedirs(os.path.dirname(log), exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW
    handle = os.open(log, flags, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True)


def _result_of(task: Callable[[Say], Any], pipe: int) -> dict[str, Any]:
    try:
        return {"done": task(lambda stage: _tell(pipe, {"stage": stage}))}
    except HyperopenxError as error:
        return {"error": error.as_data()}
    except OSError as error:
        return {"error": machine_error(error).as_data()}


def _defect(error: BaseException) -> dict[str, Any]:
    traceback.print_exception(error)
    sentence = f"A defect ended it: {type(error).__name__}: {error}"
    return InternalError(sentence, reference="defect-in-run").as_data()


def _end_descendants() -> None:
    """What the task left running ends with it."""
    for _ in range(20):
        left = descendants(process_table(), os.getpid())
        if not left:
            return
        end_processes(left, grace=0.2)


def _tell(pipe: int, message: dict[str, Any]) -> None:
    data = memoryview(json.dumps(message, default=str).encode() + b"\n")
    while data:
        data = data[os.write(pipe, data) :]
