"""Reads a profile in a forked child, for who only looks: nothing of it stays in the process that asks.

The child works in an empty scratch directory that is also its home, so that neither user defaults nor files that
happen to lie about count, and it ends with the process that forked it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from typing import Any

from slapos.build.graph import Graph
from slapos.build.values import Value
from slapos.model.errors import HyperopenxError, InternalError, Unavailable, from_data
from slapos.system.lineage import default_signals, die_with

TIME_LIMIT = 300.0  # seconds


def read_graph_apart(
    *,
    profile: str,
    directory: str,
    overrides: Mapping[str, Mapping[str, Value]] | None = None,
    offline: bool = False,
    time_limit: float = TIME_LIMIT,
) -> Graph:
    """The parts of ``profile`` (absolute path or URL) as they would be in ``directory``, which need not exist.

    Raises what is wrong with the profile; ``Unavailable`` ``slow-profile`` after ``time_limit`` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="hyperopenx-read-") as scratch:
        told, tell = os.pipe()
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            _read(profile, directory, overrides, offline, (scratch, tell, parent))
        os.close(tell)
        try:
            data = _all_of(told, profile, time_limit)
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise
        finally:
            os.close(told)
            os.waitpid(child, 0)
    return _graph_of(data, profile)


def _read(
    profile: str,
    directory: str,
    overrides: Mapping[str, Mapping[str, Value]] | None,
    offline: bool,
    place: tuple[str, int, int],
) -> None:
    """The child's whole life.  Never returns."""
    scratch, tell, parent = place
    code = 1
    try:
        _settle(scratch, parent)
        with os.fdopen(tell, "w", encoding="utf-8") as stream:
            json.dump(_answer(profile, directory, overrides, offline), stream)
        code = 0
    finally:
        if code:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(code)


def _settle(scratch: str, parent: int) -> None:
    default_signals()
    die_with(parent, signal.SIGKILL)
    os.chdir(scratch)
    os.environ.update(HOME=scratch, TMPDIR=scratch)
    tempfile.tempdir = None


def _answer(
    profile: str, directory: str, overrides: Mapping[str, Mapping[str, Value]] | None, offline: bool
) -> dict[str, Any]:
    from slapos.build.describing import read_graph
    from slapos.build.fetch.profiles import ProfileReader
    from slapos.build.profile.buildout import KNOWN_FAILURES
    from slapos.build.profile.failure import as_error

    try:
        reader = ProfileReader(offline=offline, keep=False)
        graph = read_graph(profile=profile, directory=directory, read=reader, overrides=overrides)
    except KNOWN_FAILURES as error:
        return {"error": as_error(error, "").as_data()}
    return {"graph": graph.as_data()}


def _all_of(told: int, profile: str, time_limit: float) -> bytes:
    """What the child tells until it ends."""
    pieces: list[bytes] = []
    end = time.monotonic() + time_limit
    while True:
        ready, _, _ = select.select([told], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            raise Unavailable(
                f"{profile} was not read within {time_limit:.0f} s.",
                reference="slow-profile",
                context={"profile": profile},
                hint="Is the server that it comes from slow?  Try again.",
            )
        piece = os.read(told, 1 << 20)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)


def _graph_of(data: bytes, profile: str) -> Graph:
    try:
        answer = json.loads(data)
    except ValueError:
        raise InternalError(
            f"The reading of {profile} ended without an answer; its own words are above.",
            reference="defect-in-reading",
            context={"profile": profile},
        ) from None
    if "error" in answer:
        error: HyperopenxError = from_data(answer["error"])
        raise error
    return Graph.from_data(answer["graph"])
