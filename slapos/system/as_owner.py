"""Work on a directory as the user that it belongs to: root is not led by files that somebody else put there."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from slapos.model.errors import HyperopenxError, MachineError, from_data, machine_error


def as_owner(directory: str, work: Callable[..., Any], *arguments: Any) -> Any:
    """What ``work(*arguments)`` returns (JSON types): called here, or by root in a child with the owner's rights alone.

    Everything that ``work`` needs is to be imported before.  Its :class:`HyperopenxError` or ``OSError`` is raised
    here too.
    """
    facts = os.lstat(directory)
    if os.geteuid() != 0 or facts.st_uid == 0:
        return work(*arguments)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _answer(partial(work, *arguments), writing, facts)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        told = stream.read()
    _, status = os.waitpid(pid, 0)
    return _result(told, directory, os.waitstatus_to_exitcode(status))


def _answer(work: Callable[[], Any], writing: int, facts: os.stat_result) -> None:
    """The child's whole life.  Never returns."""
    code = 1
    try:
        os.setgroups([])
        os.setgid(facts.st_gid)
        os.setuid(facts.st_uid)
        try:
            answer = {"result": work()}
        except HyperopenxError as error:
            answer = {"error": error.as_data()}
        except OSError as error:
            answer = {"error": machine_error(error).as_data()}
        with os.fdopen(writing, "w", encoding="utf-8") as stream:
            json.dump(answer, stream)
        code = 0
    finally:
        if code:
            sys.excepthook(*sys.exc_info())
        os._exit(code)


def _result(told: bytes, directory: str, code: int) -> Any:
    try:
        answer = json.loads(told)
    except ValueError:
        raise MachineError(
            f"What was to be done in {directory} as its owner ended with status {code}.",
            reference="command-failed",
            context={"directory": directory, "code": code},
        ) from None
    if "error" in answer:
        raise from_data(answer["error"])
    return answer["result"]
