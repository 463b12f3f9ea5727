"""The process that executes one job, as the job's user; forked by its leader."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
import traceback
from typing import Any

from slapos.build.isolation import become
from slapos.build.job import Job, Progress
from slapos.build.run import execute, failed
from slapos.model.errors import HyperopenxError, InternalError
from slapos.system.lineage import close_descriptors, default_signals, die_with


def work(job: Job, pipe: int, log: int, marker: str, leader: int) -> None:
    """Execute, write the result to ``pipe``, end.  Never returns."""
    code = 1
    try:
        os.setsid()
        default_signals()
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        close_descriptors({pipe})
        _top(job, pipe, marker, leader)
        code = 0
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:  # also when the disk of the log is full
            os._exit(code)


def _top(job: Job, pipe: int, marker: str, leader: int) -> None:
    begin = time.monotonic()
    _log_to_stderr()
    try:
        become(job, marker)
        die_with(leader, signal.SIGKILL)
        result = execute(job, lambda progress: _tell_progress(pipe, progress))
    except HyperopenxError as error:
        result = failed(error, job, begin)
    except Exception as error:  # noqa: BLE001 - door: the top of the warm child; a defect comes back as data
        traceback.print_exc()
        sentence = f"A defect ended the run: {type(error).__name__}: {error}"
        result = failed(InternalError(sentence, reference="defect-in-run", context={"log": job.log}), job, begin)
    _tell(pipe, {"result": result.as_data()})


def _log_to_stderr() -> None:
    sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True)


def _tell_progress(pipe: int, progress: Progress) -> None:
    _tell(pipe, {"progress": progress.__dict__})


def _tell(pipe: int, message: dict[str, Any]) -> None:
    data = memoryview(json.dumps(message, default=str).encode() + b"\n")
    while data:
        data = data[os.write(pipe, data) :]
