"""Runs tasks side by side, each in a forked child of its own session, in the order of what they need.

All that compile share the job slots of one :class:`~slapos.build.jobserver.Jobserver`: a task begins when a slot is
free, and its make takes more of them as others leave them.  One that fails lets the others end; what needs it never
begins.  However this process goes on or ends, nothing that a task started outlives it.

Source of the ordering: :mod:`slapos.build.schedule`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from slapos.build.command import last_lines
from slapos.build.jobserver import Jobserver, processors
from slapos.build.parallel_child import Say, run_child
from slapos.build.schedule import Schedule, Step, make_schedule
from slapos.model.errors import BuildFailed
from slapos.system.lineage import adopt_orphans
from slapos.system.proctable import children_of, end_tree, process_table

__all__ = ["Event", "Outcome", "Say", "Task", "run_side_by_side"]

REPEAT_SECONDS = 1.0
Ending = Literal["done", "failed", "blocked"]


@dataclass(frozen=True)
class Task:
    """``run`` does the work in the child and may say its stage (``run(say)``; ``say("make")``); what it returns, data
    for JSON, comes back in the outcome, and a :class:`HyperopenxError` or ``OSError`` that it raises as data too.

    ``needs``: tasks that must be done before; ``log``: a file that gets the child's output, empty for ours;
    ``expected`` seconds, None when it never ran before.
    """

    name: str
    run: Callable[[Say], Any]
    needs: frozenset[str] = frozenset()
    log: str = ""
    expected: float | None = None


@dataclass(frozen=True)
class Event:
    """A task is at ``stage``: ``start``, what it said itself, and at the end ``done``, ``failed`` or ``blocked``.

    ``ended`` of ``total`` tasks have ended; ``seconds`` since this task began.  The stage of what runs is told again
    each second, so that who shows it need not count.
    """

    task: str
    stage: str
    ended: int
    total: int
    seconds: float = 0.0
    expected: float | None = None


@dataclass(frozen=True)
class Outcome:
    """How a task ended; ``error`` is :meth:`HyperopenxError.as_data`, with ``log`` and ``tail`` where there is a log.

    ``blocked`` has the failed task in ``culprit``; ``told`` is what ``run`` returned; ``begun`` in seconds of the run.
    """

    task: str
    ending: Ending
    seconds: float = 0.0
    error: dict[str, Any] | None = None
    culprit: str = ""
    told: Any = None
    begun: float = 0.0


OnEvent = Callable[[Event], None]


def run_side_by_side(tasks: Sequence[Task], slots: int = 0, on_event: OnEvent = lambda event: None) -> list[Outcome]:
    """Outcomes in the order in which the tasks ended, the blocked ones last; ``slots`` 0: one for each processor.

    This process must have no other thread.  :class:`InputError` ``cycle-of-parts`` before anything begins.
    """
    schedule = make_schedule(Step(task.name, task.needs, task.expected) for task in tasks)
    with Jobserver(slots or processors()) as jobserver:
        return _Execution({task.name: task for task in tasks}, schedule, jobserver, on_event).run()


@dataclass
class _Child:
    task: Task
    pid: int
    exit: int  # pidfd
    reading: int  # what it tells, JSON lines
    token: bytes
    begun: float
    stage: str = "start"
    pending: bytes = b""
    last: dict[str, Any] | None = None


class _Execution:
    def __init__(self, tasks: dict[str, Task], schedule: Schedule, jobserver: Jobserver, on_event: OnEvent) -> None:
        self.tasks = tasks
        self.schedule = schedule
        self.jobserver = jobserver
        self.on_event = on_event
        self.children: dict[str, _Child] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.begin = time.monotonic()
        self.told_at = self.begin
        self.strangers = _children_of(os.getpid())
        adopt_orphans()

    def run(self) -> list[Outcome]:
        try:
            while True:
                left = self._begin(self._ready())
                if not self.children:
                    break
                self._listen(wants_slot=bool(left))
        finally:
            self._end_all()
        self._note_blocked()
        return list(self.outcomes.values())

    def _ready(self) -> list[str]:
        done = {name for name, outcome in self.outcomes.items() if outcome.ending == "done"}
        return self.schedule.ready(done, self.outcomes.keys() | self.children.keys())

    def _begin(self, ready: list[str]) -> list[str]:
        """Begin as many as there are free slots; the rest."""
        if not self.children:
            self.jobserver.refill()
        self.jobserver.trim(len(self.children))
        for index, name in enumerate(ready):
            token = self.jobserver.pool.take()
            if not token:
                return ready[index:]
            self._start(self.tasks[name], token)
        return []

    def _start(self, task: Task, token: bytes) -> None:
        reading, writing = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            run_child(task.run, writing, parent=parent, log=task.log, environment=self.jobserver.environment())
        os.close(writing)
        os.set_blocking(reading, False)
        self.children[task.name] = _Child(task, pid, os.pidfd_open(pid), reading, token, time.monotonic())
        self._tell(task, "start")

    def _listen(self, wants_slot: bool) -> None:
        """Until something happened: a child told something or ended, a slot is free, or a second is over."""
        poll = select.poll()
        for child in self.children.values():
            poll.register(child.exit, select.POLLIN)
            poll.register(child.reading, select.POLLIN)
        if wants_slot:
            poll.register(self.jobserver.pool.reading, select.POLLIN)
        ready = {handle for handle, _ in poll.poll(1000 * REPEAT_SECONDS)}
        for child in list(self.children.values()):
            if child.exit in ready:
                self._ended(child)
            elif child.reading in ready:
                self._hear(child)
        self._repeat()

    def _repeat(self) -> None:
        if time.monotonic() - self.told_at < REPEAT_SECONDS:
            return
        self.told_at = time.monotonic()
        for child in self.children.values():
            self._tell(child.task, child.stage, self.told_at - child.begun)
        self._reap()

    def _reap(self) -> None:
        """What ended after its parent did came to us: the first process of each sandbox does."""
        ours = self.strangers | {child.pid for child in self.children.values()}
        for process in children_of(os.getpid()):
            if process.pid not in ours and not process.alive:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)

    def _hear(self, child: _Child) -> bool:
        """Take what the child told; whether there was something."""
        try:
            data = os.read(child.reading, 65536)
        except BlockingIOError:
            return False
        *lines, child.pending = (child.pending + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "stage" in message:
                child.stage = message["stage"]
                self._tell(child.task, child.stage, time.monotonic() - child.begun)
            else:
                child.last = message
        return bool(data)

    def _ended(self, child: _Child) -> None:
        while self._hear(child):
            pass
        _, status = os.waitpid(child.pid, 0)
        self._release(child)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            self._end_orphans()
        outcome = self._outcome(child, code)
        self.outcomes[child.task.name] = outcome
        self._tell(child.task, outcome.ending, outcome.seconds)

    def _release(self, child: _Child) -> None:
        del self.children[child.task.name]
        os.close(child.exit)
        os.close(child.reading)
        self.jobserver.pool.give(child.token)

    def _outcome(self, child: _Child, code: int) -> Outcome:
        seconds, begun = time.monotonic() - child.begun, child.begun - self.begin
        if child.last is not None and "done" in child.last:
            return Outcome(child.task.name, "done", seconds, told=child.last["done"], begun=begun)
        error = (child.last or {}).get("error") or _died(child.task, code)
        context = error["context"]
        if child.task.log and "tail" not in context:
            context |= {"log": child.task.log, "tail": last_lines(child.task.log)}
        return Outcome(child.task.name, "failed", seconds, error, begun=begun)

    def _note_blocked(self) -> None:
        bad = {name for name, outcome in self.outcomes.items() if outcome.ending == "failed"}
        for name, culprit in self.schedule.blocked(bad).items():
            self.outcomes[name] = Outcome(name, "blocked", culprit=culprit)
            self._tell(self.tasks[name], "blocked")

    def _tell(self, task: Task, stage: str, seconds: float = 0.0) -> None:
        self.on_event(Event(task.name, stage, len(self.outcomes), len(self.tasks), seconds, task.expected))

    def _end_all(self) -> None:
        for child in list(self.children.values()):
            end_tree(child.pid, 5.0)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child.pid, 0)
            self._release(child)
        self._end_orphans()

    def _end_orphans(self) -> None:
        """A child that was killed could not end what it had started: that is ours now."""
        for pid in _children_of(os.getpid()) - self.strangers - {child.pid for child in self.children.values()}:
            end_tree(pid, 0.5)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _children_of(pid: int) -> set[int]:
    return {process.pid for process in process_table().values() if process.ppid == pid}


def _died(task: Task, code: int) -> dict[str, Any]:
    how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
    return BuildFailed(
        f"{task.name}: its process {how} without a result.",
        reference="run-interrupted",
        context={"part": task.name},
    ).as_data()
