"""What a worker does with one subject: its cycle, its report, and when it is looked at again."""

from __future__ import annotations

import dataclasses
import logging
import math
from dataclasses import dataclass, field

from slapos.model.errors import HyperopenxError, InternalError, machine_error
from slapos.model.objects import Instance, InstanceReport, NodeState, SupplyStatus
from slapos.model.states import Health, InstanceState, SupplyReport, SupplyState
from slapos.model.trouble import told
from slapos.node.certificates import renew_own
from slapos.node.context import Node
from slapos.node.metrics.counters import Counters
from slapos.node.metrics.uses import Uses
from slapos.node.outbox import Outbox
from slapos.node.partition.cycle import Cycle, process_partition
from slapos.node.plan import Action, Kind
from slapos.node.records import remembered_releases
from slapos.node.schedule import Schedule, Subject
from slapos.node.software.cycle import ReleaseCycle, process_release
from slapos.node.store.cycle import process_store
from slapos.node.usage import collect_usage

PARTITION, RELEASE, CHORE, MEASURE = "partition", "release", "chore", "measure"
PROCESSES, DISKS = Subject(MEASURE, "processes"), Subject(MEASURE, "disks")
USAGE, CERTIFICATE, STORE = Subject(CHORE, "usage"), Subject(CHORE, "certificate"), Subject(CHORE, "store")
CERTIFICATE_PERIOD = 3600.0
LOOK_PERIOD = 300.0

DEFECT = "A defect of hyperopenx; the log of the daemon says more."

log = logging.getLogger("slapos.node")


@dataclass(frozen=True)
class Work:
    """Processes subjects of the schedule."""

    node: Node
    schedule: Schedule
    outbox: Outbox
    uses: Uses
    counters: Counters = field(default_factory=Counters)

    def everything(self) -> list[Subject]:
        """All that may need something: wanted or remembered."""
        state = self.node.desired.state
        releases = {item.release for item in state.supplies} | set(remembered_releases(self.node.layout))
        return [Subject(PARTITION, name) for name in sorted(state.partitions)] + [
            Subject(RELEASE, name) for name in sorted(releases)
        ]

    def changed(self, partitions: set[str], releases: set[str]) -> None:
        """The master wants something else of these; a release may now be free to go."""
        subjects = [Subject(PARTITION, name) for name in partitions] + [Subject(RELEASE, name) for name in releases]
        if partitions:
            supplies = self.node.desired.state.supplies
            subjects += [Subject(RELEASE, item.release) for item in supplies if item.state is SupplyState.DESTROYED]
        for name in releases:
            subjects += [Subject(PARTITION, partition) for partition in self.node.desired.partitions_of(name)]
        self.schedule.trigger(*dict.fromkeys(subjects))

    def cannot_take(self, wanted: NodeState, trouble: HyperopenxError) -> None:
        """What the master wants cannot even be written down: who ordered it must know."""
        for instance in wanted.partitions.values():
            if instance is not None and instance.timestamp != self._known_timestamp(instance):
                report = InstanceReport(instance.guid, Health.ERROR, str(trouble), "", instance.timestamp)
                self._tell(dataclasses.replace(report, error=told(trouble)))

    def _known_timestamp(self, instance: Instance) -> int:
        known = self.node.wanted(instance.partition)
        return known.timestamp if known is not None and known.guid == instance.guid else 0

    def process(self, subject: Subject) -> None:
        """One cycle; what goes wrong is told and ends in a back-off.  Defects go through, to the caller's door."""
        settled, after = "failed", 0.0
        trouble: HyperopenxError | None = InternalError(DEFECT, reference="defect")
        try:
            settled, after = self._dispatch(subject)
            trouble = None
        except HyperopenxError as error:
            trouble = error
        except OSError as error:
            trouble = machine_error(error)
        finally:
            try:
                if trouble is not None:
                    self._say_trouble(subject, trouble)
            finally:  # whatever happens, it is looked at again
                self.schedule.settle(subject, settled, after)
                self.counters.round(subject.kind, settled)

    def _say_trouble(self, subject: Subject, trouble: HyperopenxError) -> None:
        log.warning("%s %s: %s", subject.kind, subject.name, trouble)
        sentence, error = str(trouble), told(trouble)
        instance = self.node.wanted(subject.name) if subject.kind == PARTITION else None
        if instance is not None:
            self._tell(InstanceReport(instance.guid, Health.ERROR, sentence, "", instance.timestamp, (), error))
        elif subject.kind == RELEASE:
            self._tell(SupplyStatus(subject.name, SupplyReport.ERROR, sentence, error))

    def _tell(self, report: InstanceReport | SupplyStatus) -> None:
        """To the master, unless the daemon is ending: what is cut by that is no news."""
        if self.schedule.closed:
            return
        if isinstance(report, InstanceReport):
            self.outbox.instance(report)
        else:
            self.outbox.supply(report)

    def _building(self, status: SupplyStatus) -> None:
        """The build goes on: the master is told, and those who wait for it say so too."""
        self._tell(status)
        for partition in self.node.desired.partitions_of(status.release):
            instance = self.node.wanted(partition)
            if instance is not None and instance.state is InstanceState.STARTED:
                sentence = f"waiting for its release: {status.sentence}"
                report = InstanceReport(instance.guid, Health.WAITING, sentence, "", instance.timestamp)
                self._tell(dataclasses.replace(report, error=status.error))

    def _dispatch(self, subject: Subject) -> tuple[str, float]:
        if subject.kind == PARTITION:
            return self._partition(subject.name)
        if subject.kind == RELEASE:
            return self._release(subject.name)
        if subject.kind == MEASURE:
            return self._measure(subject)
        if subject == USAGE:
            return self._usage()
        return self._store() if subject == STORE else self._certificate()

    def _partition(self, name: str) -> tuple[str, float]:
        if name not in self.node.desired.state.partitions:
            return "ok", math.inf  # nobody said that it is free
        cycle = process_partition(self.node, name, self._tell, Tell(name))
        return self._ended(cycle)

    def _release(self, name: str) -> tuple[str, float]:
        if not self.node.desired.known:
            return "ok", math.inf
        cycle = process_release(self.node, name, self._building, Tell(name))
        if any(action.kind is Kind.BUILD for plan in cycle.plans for action in plan.actions):
            self.counters.build(cycle.settled)
        partitions = self.node.desired.partitions_of(name)
        if any(plan.actions for plan in cycle.plans):  # built or not: what they wait for is another sentence now
            self.schedule.trigger(*(Subject(PARTITION, partition) for partition in partitions))
        return self._ended(cycle)

    def _ended(self, cycle: Cycle | ReleaseCycle) -> tuple[str, float]:
        plans = [plan.as_data() for plan in cycle.plans]
        self.outbox.plan(cycle.subject, plans)
        if cycle.report is not None:
            self._tell(cycle.report)
            log.info("%s: %s", cycle.subject, cycle.report.sentence)
        now = self.node.clock.wall()
        return cycle.settled, min(max(cycle.next_at - now, 0.1), self.node.config.resync_period)

    def _usage(self) -> tuple[str, float]:
        for name, instance in sorted(self.node.desired.state.partitions.items()):
            if instance is not None:
                for trouble in collect_usage(self.node, name):
                    log.warning("%s: %s", name, trouble)
        self._own_usage()
        self.outbox.filled.set()
        return "ok", self.node.config.usage_period

    def _store(self) -> tuple[str, float]:
        """What nothing uses goes after its grace time."""
        if not self.node.config.collect_period:
            return "ok", math.inf
        cycle = process_store(self.node, on_action=Tell(self.node.config.store_root[0]))
        if cycle.outcome.error is not None:
            raise cycle.outcome.error
        if cycle.removed:
            log.info("%s: %s", cycle.plan.subject, cycle.sentence)
        return "ok", self.node.config.collect_period

    def _own_usage(self) -> None:
        """What the node itself saw of its partitions."""
        partitions = self.node.desired.state.partitions.items()
        guids = {name: instance.guid for name, instance in partitions if instance is not None}
        self.uses.report(guids, self.node.clock.wall())

    def _measure(self, subject: Subject) -> tuple[str, float]:
        if subject == DISKS:
            self.uses.measure_disks(self.node.clock.wall, lambda: self.schedule.closed)
            return "ok", self.node.config.usage_period
        self.uses.look()
        self.uses.save()
        return "ok", LOOK_PERIOD

    def _certificate(self) -> tuple[str, float]:
        if renew_own(self.node.config, self.node.clock.wall()):
            log.info("the certificate of the node was renewed")
            self.node.client.close()
        return "ok", CERTIFICATE_PERIOD


@dataclass(frozen=True)
class Tell:
    """Logs each action before it starts: the last line before a crash names what was cut."""

    subject: str

    def __call__(self, action: Action) -> None:
        log.info("%s: %s", self.subject, action)
