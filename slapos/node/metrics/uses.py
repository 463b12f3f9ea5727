"""What the partitions of a node use: looked at now, kept on disk, told to the master once a period."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from slapos.node.config import NodeConfig
from slapos.node.layout import Layout
from slapos.node.metrics.processes import (
    MarkedOwners,
    Owners,
    PartitionUse,
    ProcessUsage,
    UserOwners,
    ledger_from_data,
)
from slapos.node.supervisor.spawn import mark_prefix
from slapos.node.usage import keep_document
from slapos.node.usage_document import Movement, make_journal
from slapos.system.disk_use import measure_disk
from slapos.system.files import read_json, write_json
from slapos.system.process_use import TICKS_PER_SECOND
from slapos.system.users import own_identity

#: Of one processor, that measuring disks may take.
DISK_SHARE = 0.2
#: Of a period that must have passed before the next report: a daemon that is often restarted reports no more often.
_LEAST_PART = 0.9

log = logging.getLogger("slapos.node")


@dataclass(frozen=True)
class DiskRecord:
    """``size`` in bytes at ``at`` (UTC epoch seconds); not ``complete``: it is at least so much."""

    size: int
    complete: bool
    at: float


@dataclass
class Period:
    """What was already told to the master: ``ticks`` by partition at ``since`` (0: nothing), and the memory since."""

    since: float
    ticks: dict[str, int]
    resident: dict[str, list[int]]  # sum of bytes, number of looks

    def remember(self, found: Mapping[str, PartitionUse]) -> None:
        """A look within this period."""
        for name, use in found.items():
            total = self.resident.setdefault(name, [0, 0])
            total[0] += use.resident_bytes
            total[1] += 1


class Uses:
    """Thread-safe."""

    def __init__(self, *, config: NodeConfig, layout: Layout) -> None:
        self._config = config
        self._layout = layout
        self._lock = threading.Lock()
        data = read_json(layout.uses, {})
        self._processes = ProcessUsage(ledger=ledger_from_data(data.get("ledger", {})), owners=_owners(config, layout))
        self._disks = {name: DiskRecord(**item) for name, item in data.get("disks", {}).items()}
        period = data.get("period", {})
        self._period = Period(period.get("since", 0.0), period.get("ticks", {}), period.get("resident", {}))

    def look(self) -> dict[str, PartitionUse]:
        """What each partition has now."""
        found = self._processes.look()
        with self._lock:
            self._period.remember(found)
        return found

    def disks(self) -> dict[str, DiskRecord]:
        """As last measured."""
        with self._lock:
            return dict(self._disks)

    def measure_disks(self, now: Callable[[], float], closed: Callable[[], bool]) -> None:
        """Measure one partition after the other, slowly; ``closed`` ends it between two."""
        for name in self._config.partition_names:
            if closed():
                return
            with contextlib.suppress(OSError):  # not formatted yet
                found = measure_disk(self._config.partition_directory(name), share=DISK_SHARE)
                with self._lock:
                    self._disks[name] = DiskRecord(found.size, found.complete, now())
        self.save()

    def save(self) -> None:
        """What the next daemon must know; a machine that loses power loses what was used since."""
        with self._lock:
            data: dict[str, Any] = {
                "ledger": self._processes.as_data(),
                "disks": {name: dataclasses.asdict(item) for name, item in self._disks.items()},
                "period": dataclasses.asdict(self._period),
            }
            write_json(self._layout.uses, data, mode=0o600, fsync=False)

    def report(self, guids: Mapping[str, str], now: float) -> bool:
        """Keep a document for the master about the period that ends now; whether there was something to tell.

        ``guids``: the instance in each partition that has one.  The name of a document is that of its period, so that
        a crash before the period is closed makes no second one.
        """
        found = self.look()
        with self._lock:
            period = self._period
            if period.since and now - period.since < _LEAST_PART * self._config.usage_period:
                return False
            movements = _movements(period, found, self._disks, guids) if period.since else []
            if movements:
                name = f"{self._config.computer_id} own use since {int(period.since)}"
                document = make_journal(self._config.computer_id, movements, _date(now), _date(period.since))
                keep_document(self._layout.usage, hashlib.sha256(name.encode()).hexdigest(), document, int(now))
            self._period = Period(now, {name: use.cpu_ticks for name, use in found.items()}, {})
        self.save()
        return bool(movements)


def _owners(config: NodeConfig, layout: Layout) -> Owners:
    if config.alter_user:
        return UserOwners(config)
    return MarkedOwners(prefix=mark_prefix(layout.services), uid=own_identity().uid)


def _movements(
    period: Period, found: Mapping[str, PartitionUse], disks: Mapping[str, DiskRecord], guids: Mapping[str, str]
) -> list[tuple[str, Movement]]:
    movements = []
    for partition, guid in sorted(guids.items()):
        use = found.get(partition, PartitionUse())
        total, looks = period.resident.get(partition, (0, 0))
        quantities = [
            ("cpu_seconds", "Processor time", (use.cpu_ticks - period.ticks.get(partition, 0)) / TICKS_PER_SECOND),
            ("memory_bytes", "Resident memory, mean", total / looks if looks else 0),
        ]
        if partition in disks:
            quantities.append(("disk_bytes", "Disk", disks[partition].size))
        movements += [(partition, _movement(guid, *item)) for item in quantities]
    return movements


def _movement(guid: str, resource: str, title: str, quantity: float) -> Movement:
    return Movement(resource, title, "", f"{quantity:.2f}", "0.00", "", (f"instance/{guid}",))


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
