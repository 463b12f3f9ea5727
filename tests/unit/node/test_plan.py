"""Plans of partitions: what is decided, why, and that a cut plan is continued."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

import pytest

from slapos.model.errors import MachineError, NotReady
from slapos.model.objects import Instance, PromiseResult
from slapos.model.states import InstanceState
from slapos.node.goals.observed import (
    Declared,
    Observed,
    Record,
    Refusal,
    Running,
    Wanted,
    record_from_data,
    record_to_data,
)
from slapos.node.goals.services import services_digest
from slapos.node.partition.plan import plan_partition
from slapos.node.plan import Action, Effect, Kind, Plan, apply_plan, plan_lines

NOW = 1_000_000.0


def wanted(state: str = "started", guid: str = "SOFTINST-1", order: str = "o1", **more: object) -> Wanted:
    instance = Instance(
        guid=guid,
        title="one",
        root_guid=guid,
        root_title="one",
        project="main",
        release="/release/software.cfg",
        software_type="default",
        state=InstanceState(state),
        parameters={},
        sla=more.pop("sla", {}),  # type: ignore[arg-type]
        connection={},
    )
    inputs = {"order": order, "release": "r1", "engine": "1"}
    return Wanted(instance, inputs, files=hashlib.sha256(f"{guid}{order}".encode()).hexdigest())


class Machine:
    """A partition in memory: each action does to the data what the real effect does to the machine."""

    def __init__(self, goal: Wanted | None, declared: tuple[Declared, ...] = (), **more: object) -> None:
        self.goal = goal
        self.after_run = declared
        self.now = NOW
        self.refusing: set[str] = set()
        self.seen = Observed("slappart0", release_ready=True, has_promises=True, **more)  # type: ignore[arg-type]

    def record(self, **changes: object) -> None:
        self.seen = dataclasses.replace(self.seen, record=dataclasses.replace(self.seen.record, **changes))  # type: ignore[arg-type]

    def plan(self) -> Plan:
        return plan_partition(self.goal, self.seen, self.now)

    def effects(self) -> Mapping[Kind, Effect]:
        return {kind: getattr(self, kind.name.lower()) for kind in Kind if hasattr(self, kind.name.lower())}

    def run_to_end(self, limit: int = 1000) -> list[Action]:
        """At most ``limit`` actions; a partial plan is followed by another one, as in the real cycle."""
        done: list[Action] = []
        for _ in range(5):
            plan = self.plan()
            for action in plan.actions:
                if len(done) == limit:
                    return done
                outcome = apply_plan(Plan(plan.subject, (action,)), self.effects())
                assert outcome.error is None
                done.append(action)
            if not plan.partial:
                break
        return done

    # the effects
    def prepare(self, action: Action) -> None:
        assert self.goal
        self.record(guid=self.goal.instance.guid)
        self.seen = dataclasses.replace(self.seen, prepared=True, empty=False)

    def certify(self, action: Action) -> None:
        self.seen = dataclasses.replace(self.seen, renew_at=self.now + 86400, has_certificate=True)

    def write(self, action: Action) -> None:
        assert self.goal
        self.seen = dataclasses.replace(self.seen, files=self.goal.files)

    def run_buildout(self) -> None:
        assert self.goal
        self.record(run_inputs=self.goal.inputs, run_outcome="done", run_at=self.now)
        self.seen = dataclasses.replace(self.seen, declared=self.after_run, children=("child",))

    def run(self, action: Action) -> None:
        self.run_buildout()

    def _process(self, name: str) -> None:
        declared = next(item for item in self.seen.declared if item.name == name)
        others = tuple(item for item in self.seen.running if item.name != name)
        process = Running(name, "running", declared.restart, declared.reload, 1)
        self.seen = dataclasses.replace(self.seen, running=(*others, process))
        self.record(changed_at=self.now)

    def add(self, action: Action) -> None:
        self._process(action.subject)

    start = restart = reload = add

    def stop(self, action: Action) -> None:
        left = tuple(item for item in self.seen.running if item.name != action.subject)
        self.seen = dataclasses.replace(self.seen, running=left)

    remove = stop

    def children(self, action: Action) -> None:
        self.record(children=self.seen.children)

    def promises(self, action: Action) -> None:
        self.record(promises=(PromiseResult("up", True, "", 0),), promises_for=services_digest(self.seen))
        self.seen = dataclasses.replace(self.seen, promises_due=self.now + 120)

    def hold(self, action: Action) -> None:
        self.record(retention_until=self.now + 86400)

    def prerm(self, action: Action) -> None:
        self.record(prerm_done=(*self.seen.record.prerm_done, action.subject))

    def wipe(self, action: Action) -> None:
        self.seen = dataclasses.replace(
            self.seen,
            empty=True,
            prepared=False,
            renew_at=None,
            has_certificate=False,
            files="",
            declared=(),
            children=(),
            prerm=(),
        )
        self.record(wiped=True)

    def scan(self, action: Action) -> None:
        self.record(scanned=True)

    def forget(self, action: Action) -> None:
        gone = self.goal and self.goal.instance.state is InstanceState.DESTROYED
        record = Record(destroyed=self.goal.instance.guid if self.goal and gone else "")
        self.seen = dataclasses.replace(self.seen, record=record)


def kinds(actions: list[Action] | tuple[Action, ...]) -> list[str]:
    return [action.kind.name for action in actions]


HTTPD = Declared("httpd", True, "a", "x")
CRON = Declared("crond", False, "b")


def serving(declared: tuple[Declared, ...] = (HTTPD, CRON)) -> Machine:
    machine = Machine(wanted(), declared)
    machine.run_to_end()
    return machine


def test_new_instance_runs_through_every_step_in_order() -> None:
    machine = Machine(wanted(), (HTTPD, CRON))
    done = machine.run_to_end()
    assert kinds(done) == ["PREPARE", "CERTIFY", "WRITE", "RUN", "ADD", "ADD", "CHILDREN", "PROMISES"]
    assert [action.subject for action in done if action.kind is Kind.ADD] == ["crond", "httpd"]
    assert machine.plan() == Plan("slappart0")


def foreign() -> Machine:
    machine = serving()
    machine.goal = wanted(guid="SOFTINST-2")
    return machine


def destroyed() -> Machine:
    machine = serving()
    machine.goal = wanted("destroyed")
    machine.seen = dataclasses.replace(machine.seen, prerm=("goodbye", "destroy"))
    return machine


def freed() -> Machine:
    machine = serving()
    machine.goal = None
    return machine


def changed() -> Machine:
    machine = serving()
    machine.goal = wanted(order="o2")
    new = Declared("worker", True, "w")
    machine.after_run = (dataclasses.replace(HTTPD, reload="y"), dataclasses.replace(CRON, restart="c"), new)
    return machine


def stopped() -> Machine:
    machine = serving()
    machine.goal = wanted("stopped")
    return machine


def retained() -> Machine:
    machine = serving()
    machine.goal = wanted("destroyed", sla={"retention_delay": "1"})
    return machine


SITUATIONS = [
    lambda: Machine(wanted(), (HTTPD, CRON)),
    foreign,
    destroyed,
    freed,
    changed,
    stopped,
    retained,
]


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_plan_cut_after_any_action_is_continued(situation: object) -> None:
    whole = kinds(situation().run_to_end())  # type: ignore[operator]
    assert whole
    for cut in range(len(whole) + 1):
        machine = situation()  # type: ignore[operator]
        first = kinds(machine.run_to_end(limit=cut))
        machine.now += 1  # time passes between the crash and the next cycle
        assert first + kinds(machine.run_to_end()) == whole, f"cut after {first}"


def test_only_what_changed_is_touched() -> None:
    machine = changed()
    plan = machine.plan()
    assert [(a.kind, a.reason) for a in plan.actions] == [
        (Kind.WRITE, "they differ from what is wanted"),
        (Kind.RUN, "the order changed"),
    ]
    assert plan.partial
    apply_plan(plan, machine.effects())
    rest = machine.plan()
    assert [(a.kind, a.subject) for a in rest.actions] == [
        (Kind.RESTART, "crond"),
        (Kind.RELOAD, "httpd"),
        (Kind.ADD, "worker"),
        (Kind.PROMISES, "slappart0"),
    ]


def test_refused_configuration_is_not_tried_again_until_it_changes() -> None:
    machine = serving()
    machine.seen = dataclasses.replace(machine.seen, declared=(dataclasses.replace(HTTPD, reload="bad"), CRON))
    machine.record(refusals={"httpd": Refusal("a bad", "unknown directive")})
    plan = machine.plan()
    assert "httpd" not in [action.subject for action in plan.actions]
    assert plan.skips[0].reason == "it refused the new configuration; the old one keeps serving: unknown directive"
    machine.seen = dataclasses.replace(machine.seen, declared=(dataclasses.replace(HTTPD, reload="good"), CRON))
    assert (Kind.RELOAD, "httpd") in [(a.kind, a.subject) for a in machine.plan().actions]


def test_crashed_service_is_started_and_an_ended_one_shot_is_not() -> None:
    machine = serving()
    machine.seen = dataclasses.replace(
        machine.seen, running=(Running("httpd", "stopped", "a", "x"), Running("crond", "ended", "b"))
    )
    assert [(a.kind, a.subject) for a in machine.plan().actions] == [
        (Kind.START, "httpd"),
        (Kind.PROMISES, "slappart0"),
    ]


def test_a_failed_one_shot_is_started_again_after_a_change_only() -> None:
    once = Declared("setup", False, "s")
    machine = serving((HTTPD, once))
    failed = Running("setup", "failed", "s", since=NOW + 5, exit_code=1)
    httpd = next(item for item in machine.seen.running if item.name == "httpd")
    machine.seen = dataclasses.replace(machine.seen, running=(httpd, failed))
    machine.record(run_at=NOW + 9, renewed_at=NOW)
    started = (Kind.START, "setup")
    assert started not in [(a.kind, a.subject) for a in machine.plan().actions], "not for a run of the same order"
    machine.record(renewed_at=NOW + 8)
    assert started in [(a.kind, a.subject) for a in machine.plan().actions]
    machine.seen = dataclasses.replace(machine.seen, declared=(HTTPD, dataclasses.replace(once, restart="other")))
    assert (Kind.RESTART, "setup") in [(a.kind, a.subject) for a in machine.plan().actions]


def test_after_a_failed_run_services_are_not_changed_but_kept_alive() -> None:
    machine = serving()
    machine.seen = dataclasses.replace(
        machine.seen, release_ready=False, release_sentence="waiting", declared=(Declared("httpd", True, "z"),)
    )
    assert machine.plan().actions == ()
    machine.seen = dataclasses.replace(machine.seen, running=(Running("httpd", "stopped"),))
    assert kinds(machine.plan().actions) == ["START"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"run_outcome": "running"}, "the last run did not end"),
        ({"run_outcome": "failed", "run_sentence": "no tar"}, "the last run failed: no tar"),
        ({"run_outcome": "waiting", "run_sentence": "child: url"}, "the last run waited: child: url"),
        ({"run_at": NOW - 86401}, "its period is over"),
        ({"run_inputs": {"order": "o1", "release": "r0", "engine": "1"}}, "the release was built again"),
        ({"run_inputs": {"order": "o1", "release": "r1", "engine": "0"}}, "hyperopenx was upgraded"),
    ],
)
def test_reason_of_a_run(changes: dict[str, object], reason: str) -> None:
    machine = serving()
    machine.record(**changes)
    assert [a.reason for a in machine.plan().actions if a.kind is Kind.RUN] == [reason]


def test_waiting_for_a_release_is_said_and_nothing_is_done() -> None:
    plan = Machine(wanted()).plan()
    assert plan.actions
    machine = Machine(wanted())
    machine.seen = dataclasses.replace(machine.seen, release_ready=False, release_sentence="building openssl (3 of 7)")
    plan = machine.plan()
    assert plan.actions == ()
    assert plan.skips[0].waiting
    assert plan.skips[0].reason == "building openssl (3 of 7)"


def test_names_that_are_refused_are_said() -> None:
    machine = serving()
    machine.seen = dataclasses.replace(machine.seen, refused={"a\nb": "a name may only hold letters"})
    assert [str(skip) for skip in machine.plan().skips] == ["service 'a\\nb': a name may only hold letters"]


def test_folder_that_cannot_be_read_takes_no_service_away() -> None:
    machine = serving()
    machine.seen = dataclasses.replace(machine.seen, declared=(), refused={"etc/service": "a component is a link"})
    plan = machine.plan()
    assert [action for action in plan.actions if action.kind is Kind.REMOVE] == []
    assert "etc/service" in str(plan.skips[0])


def test_retention_keeps_the_data_and_says_until_when() -> None:
    machine = retained()
    assert kinds(machine.run_to_end()) == ["HOLD", "STOP", "STOP"]
    assert "its data is kept until 1970-01-13" in machine.plan().skips[0].reason
    machine.now += 86400 + 1
    assert kinds(machine.run_to_end()) == ["WIPE", "SCAN", "FORGET"]
    assert machine.seen.record.destroyed == "SOFTINST-1"


def test_wrong_retention_never_deletes() -> None:
    machine = retained()
    machine.goal = wanted("destroyed", sla={"retention_delay": "a week"})
    machine.run_to_end()
    machine.now += 10**9
    assert Kind.WIPE not in [action.kind for action in machine.plan().actions]
    assert "not a number of days" in machine.plan().skips[0].reason


def test_next_tenant_finds_an_empty_partition() -> None:
    machine = foreign()
    plan = kinds(machine.plan().actions)
    assert plan.index("WIPE") < plan.index("SCAN") < plan.index("FORGET") < plan.index("PREPARE")


def test_partition_that_was_never_formatted() -> None:
    machine = Machine(wanted(), exists=False)
    assert machine.plan().actions == ()
    assert "format the node" in machine.plan().skips[0].reason


def test_apply_stops_at_the_first_failure_and_tells_waiting_from_failing() -> None:
    plan = Plan("p", (Action(Kind.WRITE, "p", "r"), Action(Kind.RUN, "p", "r"), Action(Kind.PROMISES, "p", "r")))
    seen: list[Kind] = []

    def run(error: Exception) -> Effect:
        def effect(action: Action) -> None:
            raise error

        return effect

    effects: dict[Kind, Effect] = {kind: lambda action: seen.append(action.kind) for kind in Kind}
    outcome = apply_plan(plan, {**effects, Kind.RUN: run(MachineError("disk full"))})
    assert seen == [Kind.WRITE]
    assert outcome.failed == plan.actions[1]
    assert not outcome.waiting
    assert apply_plan(plan, {**effects, Kind.RUN: run(NotReady("child: url"))}).waiting
    with pytest.raises(ZeroDivisionError):
        apply_plan(plan, {**effects, Kind.RUN: run(ZeroDivisionError())})


def test_dry_run_prints_and_does_nothing() -> None:
    machine = changed()
    before = machine.seen
    lines = plan_lines([machine.plan(), Plan("slappart1")])
    assert machine.seen is before
    assert lines == [
        "slappart0:",
        "  write the order and the profile of slappart0: they differ from what is wanted",
        "  run buildout in slappart0: the order changed",
        "  then: decided by what these actions leave",
        "  not done: services and promises: decided once buildout has run",
        "slappart1: nothing to do",
    ]


def test_record_survives_the_disk() -> None:
    machine = serving()
    machine.record(refusals={"httpd": Refusal("t", "m")})
    record = machine.seen.record
    assert record_from_data({**record_to_data(record), "unknown": 1}) == record
