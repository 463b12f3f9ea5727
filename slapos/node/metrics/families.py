"""The metrics of a node: what is known is written, nothing is asked of anybody.

Cost: one pass over ``/proc``, and two ``stat`` calls for each partition; a record or a certificate is read again only
when it changed.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from slapos.model.errors import HyperopenxError
from slapos.model.objects import PromiseResult
from slapos.model.openmetrics import Family, Type, write_metrics
from slapos.node.context import Node
from slapos.node.metrics.counters import Counters
from slapos.node.metrics.uses import Uses
from slapos.node.outbox import Outbox
from slapos.node.records import load_record
from slapos.node.schedule import Schedule
from slapos.pki.certificates import describe
from slapos.pki.files import load_text
from slapos.system.process_use import PAGE_BYTES

#: Why there is no metric of it.
NETWORK_UNCOUNTED = "partitions share the interfaces of the machine, and nothing counts for each of them"
#: Of one partition: their names are its own, and it shall not fill the monitoring with them.
PROMISE_LIMIT = 100


class Remembered:
    """What was read of a file, until the file is another one."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, int], Any]] = {}

    def read(self, path: str, load: Callable[[], Any]) -> Any:
        """What ``load`` made of the file at ``path``; None without it."""
        try:
            facts = os.stat(path)
        except OSError:
            self._known.pop(path, None)
            return None
        mark = (facts.st_ino, facts.st_mtime_ns)
        known = self._known.get(path)
        if known is None or known[0] != mark:
            known = (mark, load())
            self._known[path] = known
        return known[1]


@dataclass(frozen=True)
class Exposition:
    """Writes the metrics of a node whose daemon this is."""

    node: Node
    schedule: Schedule
    outbox: Outbox
    counters: Counters
    uses: Uses
    _files: Remembered = field(default_factory=Remembered)

    def write(self) -> str:
        """As OpenMetrics."""
        return write_metrics((*self._daemon(), *self._master(), *self._partitions(), *self._promises(), *self._uses()))

    def _daemon(self) -> Iterator[Family]:
        config, counters = self.node.config, self.counters
        info = Family("hyperopenx_node", Type.INFO, "The node.")
        info.add(1, node=config.computer_id, name=config.name)
        rounds = _count("hyperopenx_rounds", "Looks at a partition, a release or a chore.")
        for (kind, settled), number in sorted(counters.rounds.items()):
            rounds.add(number, kind=kind, settled=settled)
        builds = _count("hyperopenx_builds", "Builds of releases.")
        for settled, number in sorted(counters.builds.items()):
            builds.add(number, settled=settled)
        queue = _gauge("hyperopenx_queue_subjects", "Subjects that wait for a look, or are looked at now.")
        for (kind, state), number in sorted(self.schedule.depths().items()):
            queue.add(number, kind=kind, state=state)
        restarts = _count("hyperopenx_supervisor_restarts", "The supervisor had ended and was started again.")
        restarts.add(counters.supervisor_restarts)
        yield from (info, rounds, builds, queue, restarts)
        yield from _own_use()

    def _master(self) -> Iterator[Family]:
        stream = _gauge("hyperopenx_events_connected", "1: changes at the master are heard of at once.")
        stream.add(self.node.client.listening)
        contact = _gauge(
            "hyperopenx_master_contact_timestamp_seconds", "When the master last took a report.", "seconds"
        )
        if self.counters.contact_at:
            contact.add(self.counters.contact_at)
        waiting = _gauge("hyperopenx_reports_waiting", "Subjects whose report the master has not confirmed.")
        waiting.add(self.outbox.pending())
        expiry = _gauge("hyperopenx_node_certificate_expiry_timestamp_seconds", "Of the node itself.", "seconds")
        self._add_expiry(expiry, self.node.config.cert_file)
        yield from (stream, contact, waiting, expiry)

    def _partitions(self) -> Iterator[Family]:
        info = Family("hyperopenx_partition", Type.INFO, "Who lives in a partition.")
        expiry = _gauge("hyperopenx_partition_certificate_expiry_timestamp_seconds", "Of the instance.", "seconds")
        for name, instance in sorted(self.node.desired.state.partitions.items()):
            if instance is not None:
                labels = {"instance": instance.guid, "title": instance.title, "wanted": str(instance.state)}
                info.add(1, partition=name, **labels, release=instance.release)
                self._add_expiry(expiry, self.node.layout.certificate(name), partition=name)
        yield from (info, expiry)

    def _add_expiry(self, family: Family, path: str, **labels: str) -> None:
        moment = self._files.read(path, lambda: _expiry(path))
        if moment is not None:
            family.add(moment, **labels)

    def _promises(self) -> Iterator[Family]:
        good = _gauge("hyperopenx_promise_ok", "1: the promise was kept when it was last asked.")
        duration = _gauge("hyperopenx_promise_duration_seconds", "How long it took then.", "seconds")
        asked = _gauge("hyperopenx_promise_timestamp_seconds", "When that was.", "seconds")
        for name, instance in sorted(self.node.desired.state.partitions.items()):
            for result in self._results(name) if instance is not None else ():
                labels = {"partition": name, "promise": result.name}
                good.add(result.ok, **labels)
                duration.add(result.seconds, **labels)
                asked.add(result.date, **labels)
        yield from (good, duration, asked)

    def _results(self, partition: str) -> Iterable[PromiseResult]:
        layout = self.node.layout
        record = self._files.read(layout.partition_record(partition), lambda: load_record(layout, partition))
        return () if record is None else record.promises[:PROMISE_LIMIT]

    def _uses(self) -> Iterator[Family]:
        count = _gauge("hyperopenx_partition_processes", "Processes of the partition.")
        cpu = _count("hyperopenx_partition_cpu_seconds", "Processor time of its processes.", "seconds")
        memory = _gauge(
            "hyperopenx_partition_resident_memory_bytes",
            "Resident memory, a page that processes share once for each.",
            "bytes",
        )
        for name, use in sorted(self.uses.look().items()):
            count.add(use.processes, partition=name)
            cpu.add(use.cpu_seconds, partition=name)
            memory.add(use.resident_bytes, partition=name)
        disk = _gauge("hyperopenx_partition_disk_bytes", "Disk space allocated, as last measured.", "bytes")
        whole = _gauge("hyperopenx_partition_disk_complete", "0: it has more files than are counted.")
        measured = _gauge("hyperopenx_partition_disk_timestamp_seconds", "When it was measured.", "seconds")
        for name, found in sorted(self.uses.disks().items()):
            disk.add(found.size, partition=name)
            whole.add(found.complete, partition=name)
            measured.add(found.at, partition=name)
        yield from (count, cpu, memory, disk, whole, measured)


def _gauge(name: str, text: str, unit: str = "") -> Family:
    return Family(name, Type.GAUGE, text, unit)


def _count(name: str, text: str, unit: str = "") -> Family:
    return Family(name, Type.COUNTER, text, unit)


def _own_use() -> Iterator[Family]:
    use = resource.getrusage(resource.RUSAGE_SELF)
    cpu = _count("hyperopenx_daemon_cpu_seconds", "Processor time of the daemon itself.", "seconds")
    cpu.add(use.ru_utime + use.ru_stime)
    with open("/proc/self/statm", encoding="ascii") as stream:
        pages = int(stream.read().split()[1])
    memory = _gauge("hyperopenx_daemon_resident_memory_bytes", "Resident memory of the daemon itself.", "bytes")
    memory.add(pages * PAGE_BYTES)
    yield from (cpu, memory)


def _expiry(path: str) -> float | None:
    try:
        return describe(load_text(path)).not_after
    except HyperopenxError:
        return None
