"""The processes of a site as ``/proc`` shows them: who can be killed, and whether anything runs twice."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Self

from slapos.node.supervisor.spawn import MARK
from slapos.system.proctable import Process, descendants, directory_of, environment_of, process_table

LOOK_SECONDS = 0.1


def command_line(pid: int) -> str:
    """Empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def warm_server(daemon: int) -> Process | None:
    """The warm server of a daemon."""
    children = [item for item in process_table().values() if item.ppid == daemon and item.alive]
    return next((item for item in children if "slapos.build.warm_server" in command_line(item.pid)), None)


def buildout_children(daemon: int) -> list[Process]:
    """Processes that execute a profile: the warm server forks a leader per run, and that the one who works."""
    server = warm_server(daemon)
    if server is None:
        return []
    table = process_table()
    leaders = {item.pid for item in table.values() if item.ppid == server.pid}
    return [item for item in descendants(table, server.pid) if item.ppid in leaders]


class Marked:
    """Main processes of the services of one node: those that lead a session and carry the mark of the supervisor.

    nginx writes its title over its environment, where the mark was; it is known by that title and its directory.
    """

    def __init__(self, state_directory: str, instance_root: str) -> None:
        self.prefix = os.path.realpath(os.path.join(state_directory, "services")) + "/"
        self.partitions = os.path.realpath(instance_root) + "/"

    def main_processes(self) -> dict[str, list[Process]]:
        """By ``<partition>:<service>``."""
        found: dict[str, list[Process]] = defaultdict(list)
        for process in process_table().values():
            if process.alive and process.session == process.pid and (key := self._service(process.pid)):
                found[key].append(process)
        return dict(found)

    def _service(self, pid: int) -> str:
        mark = environment_of(pid).get(MARK, "")
        if mark.startswith(self.prefix):
            return mark.removeprefix(self.prefix)
        directory = directory_of(pid)
        if directory.startswith(self.partitions) and command_line(pid).startswith("nginx: master"):
            return f"{directory.removeprefix(self.partitions)}:nginx"
        return ""


class TwiceWatch:
    """While inside, looks all the time whether a service runs twice; ``findings`` says when it did."""

    def __init__(self, marked: Marked) -> None:
        self.marked = marked
        self.findings: list[str] = []
        self.looks = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="twice-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            self.looks += 1
            for key, processes in self.marked.main_processes().items():
                by_program: dict[str, list[int]] = defaultdict(list)
                for process in processes:
                    by_program[command_line(process.pid)].append(process.pid)
                self.findings += [
                    f"{key} ran as {pids} at once: {program}"
                    for program, pids in by_program.items()
                    if program and len(pids) > 1
                ]
