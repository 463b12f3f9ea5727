"""Asks a forked child something about a profile: nothing of it stays in the process that asks.

The child works in an empty scratch directory that is also its home, so that neither user defaults nor files that
happen to lie about count, and it ends with the process that forked it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from slapos.model.errors import HyperopenxError, InternalError, Unavailable, from_data
from slapos.system.lineage import default_signals, die_with

TIME_LIMIT = 300.0  # seconds

Answer = Callable[[], Mapping[str, Any]]
"""Runs in the child; JSON types, ``{"error": …}`` for a known failure as data."""


class _NeverShown(DeprecationWarning):
    """zc.buildout silences one of pkg_resources."""


_INSTALLERS: Mapping[str, Mapping[str, Any]] = {
    "distutils": {},
    "distutils.errors": {},
    "pip": {},
    "pkg_resources": {"PkgResourcesDeprecationWarning": _NeverShown},
    "setuptools": {},
    "zc.buildout.download": {},
    "zc.buildout.easy_install": {"realpath": os.path.realpath},
    "zc.buildout.patches": {},
    "zc.buildout.rmtree": {"rmtree": None},
}
"""Module → what zc.buildout takes out of it while it is imported."""


class Apart:
    """A question about ``profile`` that is being answered; to be used with ``with``, at whose end the child is gone."""

    def __init__(self, *, answer: Answer, profile: str) -> None:
        self.answer = answer
        self.profile = profile
        self._end = contextlib.ExitStack()
        self._told = -1

    def __enter__(self) -> Apart:
        with contextlib.ExitStack() as end:
            scratch = end.enter_context(tempfile.TemporaryDirectory(prefix="hyperopenx-read-"))
            self._told, tell = os.pipe()
            end.callback(os.close, self._told)
            with os.fdopen(tell, "w", encoding="utf-8") as stream:
                parent = os.getpid()
                child = os.fork()
                if child == 0:
                    _child(self.answer, scratch, stream, parent)
            end.callback(_end, child)
            self._end = end.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def wait(self, time_limit: float = TIME_LIMIT) -> dict[str, Any]:
        """The answer; called once.

        Raises the error that is the answer; ``Unavailable`` ``slow-profile`` after ``time_limit`` seconds.
        """
        return _decoded(_all_of(self._told, self.profile, time_limit), self.profile)


def _end(child: int) -> None:
    os.kill(child, signal.SIGKILL)  # it is our child until the next line, even when it has ended
    os.waitpid(child, 0)


def _child(answer: Answer, scratch: str, tell: TextIO, parent: int) -> None:
    """The child's whole life.  Never returns."""
    code = 1
    try:
        _settle(scratch, parent)
        json.dump(answer(), tell)
        tell.flush()
        code = 0
    finally:
        if code:
            traceback.print_exc(file=sys.__stderr__)
        os._exit(code)


def _settle(scratch: str, parent: int) -> None:
    default_signals()
    die_with(parent, signal.SIGKILL)
    os.chdir(scratch)
    os.environ.update(HOME=scratch, TMPDIR=scratch)
    tempfile.tempdir = None
    gc.disable()  # this process is gone in a moment
    import_buildout()


def import_buildout() -> None:
    """What zc.buildout installs eggs with takes three quarters of its own import; who only reads installs none.

    Modules stand in for it until that is done.  Where it was imported before, nothing changes.
    """
    if "zc.buildout" in sys.modules:
        return
    absent = {name: types.ModuleType(name) for name in _INSTALLERS if name not in sys.modules}
    for name, module in absent.items():
        vars(module).update(_INSTALLERS[name])
    sys.modules.update(absent)
    try:
        package = importlib.import_module("zc.buildout")
        for name, module in absent.items():
            if name.startswith("zc.buildout."):
                setattr(package, name.rpartition(".")[2], module)
        importlib.import_module("zc.buildout.buildout")
    finally:
        for name in absent:
            del sys.modules[name]


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


def _decoded(data: bytes, profile: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(data)
    except ValueError:
        raise InternalError(
            f"The reading of {profile} ended without an answer; its own words are above.",
            reference="defect-in-reading",
            context={"profile": profile},
        ) from None
    if "error" in answer:
        error: HyperopenxError = from_data(answer["error"])
        raise error
    return answer
