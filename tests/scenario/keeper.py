"""Keeps the master and the daemon of a test alive, as the supervisor of a site does."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType
from typing import Self

from slapos.model.errors import HyperopenxError
from slapos.testing.master import MasterServer
from slapos.testing.nodes import NodeServer

LOOK_SECONDS = 0.05


class Keeper:
    """While inside, a process that ended is started again at once; ``deaths`` counts them."""

    def __init__(self, server: MasterServer | NodeServer) -> None:
        self.server = server
        self.deaths = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {type(server).__name__}", daemon=True)

    @property
    def pid(self) -> int:
        """Of the process now; 0 between two."""
        process = self.server.process
        return 0 if process is None or process.popen.returncode is not None else process.pid

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            process = self.server.process
            if process is None or process.popen.poll() is not None:
                self.deaths += 1
                with contextlib.suppress(HyperopenxError, AssertionError):  # it may be killed while it starts
                    self.server.start()
