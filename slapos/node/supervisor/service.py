"""One service inside the supervisor: what is wanted, what runs, and one step at a time from one to the other.

Level, not edge: a request only changes what is wanted; :meth:`Service.step` compares it with what runs.  The order that
keeps a service from running twice: nothing is started before the last process of the former run is gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from slapos.model.errors import HyperopenxError
from slapos.node.supervisor import backoff
from slapos.node.supervisor.interface import ServiceEvent, ServiceSpec, ServiceState, ServiceStatus
from slapos.node.supervisor.logs import rotate_if_large
from slapos.node.supervisor.records import ProcessRecord, Record, Store, Wanted, fingerprint
from slapos.node.supervisor.remains import Ending, Snapshot, remains_of
from slapos.node.supervisor.spawn import spawn
from slapos.system.clock import Clock
from slapos.system.proctable import Process, is_alive, send_signal

_LOOK_AGAIN = 0.05
_LEAST_GRACE = 2.0
_KILL_AGAIN = 1.0


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the services of one supervisor share.  ``children``: pid to whom is told of its end (supervisord's)."""

    store: Store
    boot: str
    prefix: str
    clock: Clock
    snapshot: Callable[[], Snapshot]
    send: Callable[[ServiceEvent], None]
    say: Callable[[str], None]
    children: dict[int, Any] = field(default_factory=dict)


class Service:
    """``wake``: monotonic second at which :meth:`step` has something to do again, None when only an event brings it."""

    def __init__(self, record: Record, *, around: Surroundings) -> None:
        self.around = around
        self.record = record
        self.fingerprint = fingerprint(record.spec)
        self.state = ServiceState.STARTING
        self.since = around.clock.wall()
        self.alive = False
        self.adopted = False
        self.stopping = False
        self.unclean = False  # processes of the former run may be left
        self.gone = False  # removed and clean: to be forgotten
        self.dirty = False
        self.ending: Ending | None = None
        self.kill_at = 0.0
        self.quiet_since = 0.0  # a look at the processes must be younger to prove that none is left
        self.due = 0.0
        self.wake: float | None = 0.0
        self.detail = ""
        self.handle: int | None = None  # pidfd of an adopted process

    @property
    def spec(self) -> ServiceSpec:
        return self.record.spec

    @property
    def key(self) -> str:
        return self.record.spec.key

    @property
    def mark(self) -> str:
        return self.around.prefix + self.key

    @property
    def busy(self) -> bool:
        """Whether a process of it may be there."""
        return self.alive or self.unclean

    def status(self) -> ServiceStatus:
        process = self.record.process
        return ServiceStatus(
            name=self.key,
            state=self.state,
            pid=process.pid if process and self.alive else 0,
            start=process.start if process and self.alive else 0,
            since=self.since,
            exit_code=self.record.exit_code,
            digest=process.digest if process else "",
            reload_digest=process.reload_digest if process else "",
            crashes=self.record.crashes,
            adopted=self.adopted and self.alive,
            watched=self.spec.watched,
            detail=self.detail,
        )

    # requests

    def want(self, wanted: Wanted) -> None:
        """Run, stop or remove it."""
        if wanted is Wanted.RUN and self.record.wanted is Wanted.RUN and not self.record.ended:
            return
        self._reset(dataclasses.replace(self.record, wanted=wanted, ended=False, crashes=0))

    def respec(self, spec: ServiceSpec) -> None:
        """Run as ``spec`` says; what runs already as it says goes on."""
        same = fingerprint(spec) == self.fingerprint
        if same and self.record.wanted is Wanted.RUN:
            if spec != self.spec:
                self.save(dataclasses.replace(self.record, spec=spec))
            return
        self.fingerprint = fingerprint(spec)
        self._reset(dataclasses.replace(self.record, spec=spec, wanted=Wanted.RUN, ended=False, crashes=0))

    def restart(self) -> None:
        self.want(Wanted.RUN)
        if self.alive and not self.stopping:
            self._begin_stop(self.around.clock.monotonic())
        self.due = self.wake = 0.0

    def signal(self, number: int) -> bool:
        """To the main process; whether it was there."""
        process = self.record.process
        return process is not None and self.alive and send_signal(process.pid, process.start, number)

    def reload(self, number: int, reload_digest: str) -> bool:
        """Signal it and remember what it read; whether it was there."""
        if not self.signal(number):
            return False
        assert self.record.process is not None
        process = dataclasses.replace(self.record.process, reload_digest=reload_digest)
        spec = dataclasses.replace(self.spec, reload_digest=reload_digest)
        self.save(dataclasses.replace(self.record, process=process, spec=spec))
        return True

    def _reset(self, record: Record) -> None:
        self.save(record)
        self.due = 0.0
        self.wake = 0.0
        if not self.alive:
            self.unclean = True
            if record.wanted is not Wanted.RUN:
                self._become(ServiceState.STOPPING)

    def settle(self) -> None:
        """The supervisor ends: what an unwatched service left in the background ends with it."""
        self.unclean = self.unclean or not self.alive

    # what happened

    def remember(self) -> None:
        """After a start of the supervisor: adopt the recorded process, or settle what became of it."""
        process = self.record.process
        if process is None or process.boot != self.around.boot:
            self.record = dataclasses.replace(self.record, process=None, ended=False)
        elif self._adopt(process):
            return
        elif not self.spec.watched and not self.record.ended:
            self.save(dataclasses.replace(self.record, ended=True, exit_code=None))
        self.unclean = not self.record.ended or self.record.wanted is not Wanted.RUN
        if self.record.ended:
            self._become(ServiceState.EXITED)

    def _adopt(self, process: ProcessRecord) -> bool:
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(process.pid)
            if is_alive(process.pid, process.start):
                self.handle, self.alive, self.adopted = handle, True, True
                self.since = process.since
                self._become(ServiceState.RUNNING, since=process.since)
                self.around.say(f"adopted {self.key}, pid {process.pid}")
                return True
            os.close(handle)
        return False

    def survivor_ended(self) -> None:
        """An adopted process ended; nobody but its parent could learn its status."""
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None
        self._ended(None)

    def finish(self, _pid: int, status: int) -> None:
        """Its main process ended (called by supervisord, which waited for it)."""
        self._ended(os.waitstatus_to_exitcode(status))

    def _ended(self, code: int | None) -> None:
        now = self.around.clock.monotonic()
        lived = self.around.clock.wall() - self.since
        self.alive, self.wake, self.quiet_since = False, 0.0, now
        self.around.say(f"{self.key} ended with {code}")
        if self.stopping or self.record.wanted is not Wanted.RUN:
            self.unclean = True
            self.save(dataclasses.replace(self.record, exit_code=code))
        elif self.spec.watched:
            crashes = backoff.count_crashes(self.record.crashes, lived)
            self.due = now + backoff.delay(crashes)
            self.unclean = True
            self.save(dataclasses.replace(self.record, exit_code=code, crashes=crashes))
            self._become(ServiceState.BACKOFF)
        else:
            self.save(dataclasses.replace(self.record, exit_code=code, ended=True))
            self._become(ServiceState.EXITED)

    # steps

    def step(self, up: bool) -> None:
        """One step; ``up`` False: the supervisor ends, nothing is to run."""
        now = self.around.clock.monotonic()
        self.wake = None
        if self.dirty:
            self.save(self.record)
        wanted = up and self.record.wanted is Wanted.RUN
        if self.alive:
            self._step_running(now, wanted)
        elif self.unclean:
            self._step_remains(now)
        elif wanted and not self.record.ended:
            self._step_start(now)
        elif self.record.wanted is Wanted.REMOVE:
            self.gone = True
        elif self.state is not ServiceState.EXITED:
            self._become(ServiceState.STOPPED)

    def _step_running(self, now: float, wanted: bool) -> None:
        process = self.record.process
        assert process is not None
        if not self.stopping and not (wanted and process.fingerprint == self.fingerprint):
            self._begin_stop(now)
        if not self.stopping:
            return
        if now >= self.kill_at:
            for each in self._remains():
                with contextlib.suppress(PermissionError):
                    send_signal(*each.key, signal.SIGKILL)
            self.wake = now + _KILL_AGAIN
        else:
            self.wake = self.kill_at

    def _begin_stop(self, now: float) -> None:
        """TERM goes to the process group, as the field's supervisor does; the rest is ended after the main process."""
        process = self.record.process
        assert process is not None
        self.stopping, self.ending = True, None
        self.kill_at = now + self.spec.stop_seconds
        self.wake = 0.0
        # it leads its group since before it ran; nobody else gets that number while it is alive
        if is_alive(process.pid, process.start):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGTERM)
        self._become(ServiceState.STOPPING)

    def _remains(self) -> tuple[Process, ...]:
        process = self.record.process
        leader = (process.pid, process.start) if process else None
        return remains_of(self.around.snapshot(), self.mark, leader)

    def _step_remains(self, now: float) -> None:
        """End what the former run left; clean when a look finds nothing."""
        self.wake = now + _LOOK_AGAIN
        if self.ending is not None and not self.ending.step(now):
            self.quiet_since = self.around.clock.monotonic()
            return
        snapshot = self.around.snapshot()
        left = self._remains()
        if left:
            kill_at = self.kill_at if self.stopping else now + self.spec.stop_seconds
            self.ending = self.ending or Ending(max(kill_at, now + _LEAST_GRACE))
            self.ending.add(left)
        elif snapshot.taken >= self.quiet_since:
            self._clean()
        else:
            self.wake = now

    def _clean(self) -> None:
        if self.stopping:
            self.save(dataclasses.replace(self.record, process=None))
        self.unclean, self.stopping, self.ending = False, False, None
        self.wake = 0.0
        if self.state is ServiceState.STOPPING:
            self._become(ServiceState.STOPPED)

    def _step_start(self, now: float) -> None:
        if now < self.due:
            self.wake = self.due
            return
        try:
            pid, _ = spawn(self.spec, self.mark, self._record_start)
        except (OSError, HyperopenxError) as error:
            crashes = self.record.crashes + 1
            self.record = dataclasses.replace(self.record, crashes=crashes)
            self.detail = str(error)
            self.due = self.wake = now + max(0.5, backoff.delay(crashes))
            self.around.say(f"{self.key} cannot be started: {error}")
            self._become(ServiceState.BACKOFF)
            return
        self.around.children[pid] = self
        self.alive, self.adopted, self.detail = True, False, ""
        self.around.say(f"{self.key} started, pid {pid}")
        self._become(ServiceState.RUNNING)

    def _record_start(self, pid: int, start: int) -> None:
        spec, boot = self.spec, self.around.boot
        process = ProcessRecord(
            pid, start, boot, self.around.clock.wall(), self.fingerprint, spec.digest, spec.reload_digest
        )
        record = dataclasses.replace(self.record, process=process)
        self.around.store.write(record)
        self.record, self.dirty = record, False

    def rotate(self) -> None:
        """Bound its log."""
        if self.spec.log:
            try:
                rotate_if_large(self.spec.log)
            except OSError as error:
                self.around.say(f"the log {self.spec.log} cannot be rotated: {error}")

    def save(self, record: Record) -> None:
        """In memory at once; on disk now, or, when the disk refuses, at a later step."""
        self.record = record
        try:
            self.around.store.write(record)
            self.dirty = False
        except OSError as error:
            if not self.dirty:
                self.around.say(f"the record of {self.key} cannot be written: {error}")
            self.dirty = True
            self.wake = self.around.clock.monotonic() + 1.0

    def _become(self, state: ServiceState, since: float | None = None) -> None:
        if state is self.state and state is not ServiceState.RUNNING:
            return
        self.state = state
        self.since = self.around.clock.wall() if since is None else since
        process = self.record.process
        pid = process.pid if process and self.alive else 0
        self.around.send(ServiceEvent(self.key, state, pid, self.record.exit_code))
