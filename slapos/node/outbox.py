"""Reports on their way to the master: on disk until it confirmed them, the latest of each subject only."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from slapos.model.errors import HyperopenxError, Unavailable
from slapos.model.objects import InstanceReport, PromiseResult, SupplyStatus
from slapos.model.states import Health, SupplyReport
from slapos.slap.interface import Master
from slapos.system.files import read_json, write_json

_BATCH = 50


class Outbox:
    """Thread-safe.  A report replaces an earlier one of the same subject that was not delivered yet.

    One that cannot be written is kept in memory: that the disk is full must not stay unsaid because the disk is full.
    """

    def __init__(self, directory: str, *, plan_seconds: float = 1.0) -> None:
        """``plan_seconds``: the plans of all subjects travel together, and not more often than this."""
        self._directory = directory
        self._lock = threading.Lock()
        self._delivered: dict[str, str] = {}
        self._held: dict[str, dict[str, Any]] = {}
        self._plans: dict[str, Any] = {}
        self._plans_changed = False
        self._plan_seconds = plan_seconds
        self._plans_due = 0.0
        self._reminder: threading.Timer | None = None
        self.filled = threading.Event()

    def instance(self, report: InstanceReport) -> bool:
        """Deliver later; False when the master already has the same (but for the dates of promises)."""
        return self._put(f"instance-{report.guid}", dataclasses.asdict(report))

    def supply(self, status: SupplyStatus) -> bool:
        """Deliver later."""
        key = hashlib.sha256(status.release.encode()).hexdigest()[:32]
        return self._put(f"supply-{key}", dataclasses.asdict(status))

    def plan(self, subject: str, plans: list[dict[str, Any]]) -> None:
        """The last plans of a subject, shown by the master."""
        with self._lock:
            if self._plans.get(subject) != plans:
                self._plans[subject] = plans
                self._plans_changed = True

    def pending(self) -> int:
        """How many subjects have a report to deliver."""
        return len(self._names())

    def _put(self, name: str, data: dict[str, Any]) -> bool:
        with self._lock:
            path = self._path(name)
            waiting = name in self._held or os.path.exists(path)
            if self._delivered.get(name) == _sense(data) and not waiting:
                return False
            try:
                os.makedirs(self._directory, exist_ok=True)
                write_json(path, data, mode=0o600, fsync=False)
                self._held.pop(name, None)
            except OSError:
                self._held[name] = data
        self.filled.set()
        return True

    def deliver(self, client: Master, node: str) -> int:
        """Send what is pending; how many subjects were confirmed.  :class:`Unavailable` goes through, all is kept.

        One report that the master refuses does not hold up the others: it is dropped, since a repetition cannot help.
        """
        self.filled.clear()
        confirmed, plans = 0, self._take_plans()
        try:
            while names := self._names()[:_BATCH]:
                batch = {name: data for name in names if (data := self._read(name)) is not None}
                if self._send_all(client, node, batch, plans):
                    plans = None
                self._confirm({name: batch.get(name) for name in names})
                confirmed += len(names)
            if plans is not None:
                client.report(node, plan=plans)
        except HyperopenxError:
            self._plans_changed = self._plans_changed or plans is not None
            raise
        return confirmed

    def _send_all(
        self, client: Master, node: str, batch: Mapping[str, dict[str, Any]], plans: dict[str, Any] | None
    ) -> bool:
        """In one message, or, when it is refused, one by one and without the plans; whether it was one."""
        try:
            self._send(client, node, batch, plans)
        except Unavailable:
            raise
        except HyperopenxError:
            for name, data in batch.items():
                with contextlib.suppress(HyperopenxError):
                    self._send(client, node, {name: data}, None)
            return False
        return True

    def _send(
        self, client: Master, node: str, batch: Mapping[str, dict[str, Any]], plans: dict[str, Any] | None
    ) -> None:
        instances = [_instance(data) for name, data in batch.items() if name.startswith("instance-")]
        supplies = [_supply(data) for name, data in batch.items() if name.startswith("supply-")]
        client.report(node, instances, supplies, plan=plans)

    def _take_plans(self) -> dict[str, Any] | None:
        """What to send of the plans now: None when nothing changed or the last sending is too young."""
        now = time.monotonic()
        with self._lock:
            if not self._plans_changed:
                return None
            if now < self._plans_due:
                self._remind(self._plans_due - now)
                return None
            self._plans_changed = False
            self._plans_due = now + self._plan_seconds
            return {"subjects": dict(self._plans)}

    def _remind(self, seconds: float) -> None:
        """Whoever delivers is woken once more; several wishes to be are one."""
        if self._reminder is None or not self._reminder.is_alive():
            self._reminder = threading.Timer(seconds, self.filled.set)
            self._reminder.daemon = True
            self._reminder.start()

    def _confirm(self, batch: Mapping[str, dict[str, Any] | None]) -> None:
        """Those that were not replaced meanwhile are done."""
        with self._lock:
            for name, data in batch.items():
                if self._read(name) == data:
                    self._held.pop(name, None)
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self._path(name))
                if data is not None:
                    self._delivered[name] = _sense(data)

    def _read(self, name: str) -> Any:
        held = self._held.get(name)
        return held if held is not None else read_json(self._path(name))

    def _names(self) -> list[str]:
        found: list[str] = []
        with contextlib.suppress(FileNotFoundError):
            found = os.listdir(self._directory)
        written = {name.removesuffix(".json") for name in found if name.endswith(".json") and name[0] != "."}
        return sorted(written | set(self._held))

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, f"{name}.json")


def _sense(data: Mapping[str, Any]) -> str:
    """What makes two reports different for a reader."""
    promises = sorted((item["name"], item["ok"], item["message"]) for item in data.get("promises", ()))
    rest = sorted((key, str(value)) for key, value in data.items() if key != "promises")
    return repr((rest, promises))


def _instance(data: Mapping[str, Any]) -> InstanceReport:
    promises = tuple(PromiseResult(**item) for item in data["promises"])
    return InstanceReport(**{**data, "health": Health(data["health"]), "promises": promises})


def _supply(data: Mapping[str, Any]) -> SupplyStatus:
    return SupplyStatus(**{**data, "reported": SupplyReport(data["reported"])})
