"""The one sentence about an instance after a cycle."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from slapos.model.errors import MachineError, NotReady
from slapos.model.objects import PromiseResult
from slapos.model.states import Health
from slapos.node.goals.observed import Declared, Observed, Record, Refusal, Running, Wanted
from slapos.node.partition.report import make_report, working_report
from slapos.node.plan import Action, Kind, Outcome, Plan, Skip
from tests.unit.node.samples import instance

NOW = 1_000_000.0
GOOD = PromiseResult("page", True, "fine", 1)
BAD = PromiseResult("page", False, "no answer", 1)


def observed(record: dict[str, Any] | None = None, **more: Any) -> Observed:
    base = Record(guid="SOFTINST-1", run_outcome="done", **(record or {}))
    values: dict[str, Any] = {"empty": False, "release_ready": True, "running": (Running("httpd", "running", "a"),)}
    return Observed("slappart0", base, **{**values, **more})


def report(
    seen: Observed, *, state: str = "started", plan: Plan | None = None, outcome: Outcome | None = None
) -> tuple[Health, str, str]:
    made = make_report(Wanted(instance(state=state)), seen, plan or Plan("slappart0"), outcome or Outcome(), NOW)
    assert made.timestamp == 7
    return made.health, made.sentence, made.reported_state


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"promises": (GOOD, GOOD, GOOD)}, (Health.OK, "serving, 3 promises ok", "started")),
        ({"promises": (GOOD,)}, (Health.OK, "serving, 1 promise ok", "started")),
        ({}, (Health.OK, "serving", "started")),
        ({"promises": (GOOD, BAD)}, (Health.ERROR, "promise page: no answer", "started")),
        (
            {"promises": (BAD,), "changed_at": NOW - 3},
            (Health.WORKING, "starting; promise page: no answer", "started"),
        ),
    ],
)
def test_started(record: dict[str, Any], expected: tuple[Health, str, str]) -> None:
    assert report(observed(record)) == expected


def test_trouble_with_services_is_said() -> None:
    seen = observed(
        {"refusals": {"nginx": Refusal("t", "unknown directive")}}, declared=(Declared("nginx", True, "a"),)
    )
    expected = "nginx refused the new configuration; the old one keeps serving: unknown directive"
    assert report(seen)[:2] == (Health.ERROR, expected)
    crashing = observed(running=(Running("httpd", "crashing", log="/logs/httpd.log"),))
    assert report(crashing)[1] == "the service httpd ends again and again; its log is /logs/httpd.log"
    refused = observed(refused={"a\nb": "a name may hold only letters"})
    assert report(refused)[1] == "the service 'a\\nb' is not started: a name may hold only letters"


@pytest.mark.parametrize(("code", "end"), [(3, "ended with exit status 3"), (-9, "was ended by signal 9")])
def test_a_failed_one_shot_is_said(code: int, end: str) -> None:
    failed = Running("setup", "failed", "a", exit_code=code, log="/log/slappart0/setup.log")
    seen = observed({"promises": (GOOD,)}, declared=(Declared("setup", False, "a"),), running=(failed,))
    assert report(seen)[:2] == (Health.ERROR, f"setup of etc/run {end}; its log is /log/slappart0/setup.log")
    done = observed(declared=(Declared("setup", False, "a"),), running=(Running("setup", "ended", "a", exit_code=0),))
    assert report(done)[0] is Health.OK


def test_a_refusal_of_a_service_that_is_gone_is_forgotten() -> None:
    assert report(observed({"refusals": {"nginx": Refusal("t", "m")}}))[0] is Health.OK


def test_waiting_is_not_failing() -> None:
    action = Action(Kind.RUN, "slappart0", "it never ran here")
    waiting = Outcome((), action, NotReady("waiting for child: url"))
    seen = observed(running=())
    assert report(seen, outcome=waiting)[:2] == (Health.WAITING, "waiting for child: url")
    release = Plan("slappart0", (), (Skip("slappart0", "waiting for its release: building zlib (1 of 7)", True),))
    assert report(seen, plan=release)[:2] == (Health.WAITING, "waiting for its release: building zlib (1 of 7)")


def test_failure_is_the_error_and_bounded() -> None:
    failed = Outcome((), Action(Kind.RUN, "slappart0", "r"), MachineError("disk full " * 500))
    health, sentence, _ = report(observed(), outcome=failed)
    assert health is Health.ERROR
    assert len(sentence) == 1000


def test_stopped_and_destroyed() -> None:
    stopped = observed(running=())
    assert report(stopped, state="stopped") == (Health.STOPPED, "stopped", "stopped")
    assert report(observed(), state="stopped") == (Health.WORKING, "stopping", "")
    gone = Observed("slappart0", Record(destroyed="SOFTINST-1"))
    expected = (Health.DESTROYED, "destroyed; nothing of it is left on the node", "destroyed")
    assert report(gone, state="destroyed") == expected
    held = Plan("slappart0", (), (Skip("slappart0", "its data is kept until tomorrow", True),))
    assert report(stopped, state="destroyed", plan=held)[:2] == (
        Health.STOPPED,
        "stopped; its data is kept until tomorrow",
    )
    dirty = dataclasses.replace(gone, empty=False)
    assert report(dirty, state="destroyed")[2] != "destroyed", "the proof is an empty partition"


def test_never_formatted() -> None:
    seen = Observed("slappart0", exists=False)
    assert report(seen)[:2] == (Health.ERROR, "its partition is not there: format the node")


def test_said_before_something_slow() -> None:
    wanted = Wanted(instance())
    plan = Plan("slappart0", (Action(Kind.WRITE, "slappart0", "w"), Action(Kind.RUN, "slappart0", "the order changed")))
    made = working_report(wanted, observed(), plan)
    assert made is not None
    assert (made.health, made.sentence) == (Health.WORKING, "running buildout: the order changed")
    assert (
        working_report(wanted, observed(), Plan("slappart0", (Action(Kind.PROMISES, "slappart0", "it is time"),)))
        is None
    )
