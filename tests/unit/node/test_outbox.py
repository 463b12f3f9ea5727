"""Reports reach the master once, also after it was away, and one that it refuses holds up no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slapos.model.errors import NotFound, Unavailable
from slapos.model.objects import InstanceReport, PromiseResult, SupplyStatus
from slapos.model.states import Health, SupplyReport
from slapos.node.outbox import Outbox


class MemoryMaster:
    """Keeps what is reported; can be away, and refuse a guid."""

    def __init__(self) -> None:
        self.away = False
        self.refused = ""
        self.got: list[Any] = []
        self.plans: list[Any] = []
        self.calls = 0

    def report(self, node: str, instances: Any = (), supplies: Any = (), plan: Any = None, online: bool = True) -> int:
        self.calls += 1
        if self.away:
            raise Unavailable("away")
        if any(item.guid == self.refused for item in instances):
            raise NotFound("no such instance")
        self.got += [*instances, *supplies]
        if plan is not None:
            self.plans.append(plan)
        return 1


def report(guid: str = "SOFTINST-1", sentence: str = "serving", date: int = 1) -> InstanceReport:
    return InstanceReport(guid, Health.OK, sentence, "started", 7, (PromiseResult("page", True, "ok", date, 0.1),))


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(str(tmp_path / "outbox"))


def test_delivered_once(outbox: Outbox) -> None:
    master = MemoryMaster()
    outbox.instance(report())
    outbox.supply(SupplyStatus("/r", SupplyReport.AVAILABLE, "built"))
    assert outbox.deliver(master, "COMP-1") == 2  # type: ignore[arg-type]
    assert outbox.deliver(master, "COMP-1") == 0  # type: ignore[arg-type]
    assert master.got == [report(), SupplyStatus("/r", SupplyReport.AVAILABLE, "built")]
    assert not outbox.instance(report(date=99)), "only a date differs"
    assert outbox.instance(report(sentence="stopped"))


def test_kept_while_the_master_is_away_and_only_the_latest(outbox: Outbox, tmp_path: Path) -> None:
    master = MemoryMaster()
    master.away = True
    for sentence in ("working", "starting", "serving"):
        outbox.instance(report(sentence=sentence))
        with pytest.raises(Unavailable):
            outbox.deliver(master, "COMP-1")  # type: ignore[arg-type]
    master.away = False
    after_restart = Outbox(str(tmp_path / "outbox"))
    assert after_restart.pending() == 1
    after_restart.deliver(master, "COMP-1")  # type: ignore[arg-type]
    assert [item.sentence for item in master.got] == ["serving"]


def test_a_refused_report_does_not_hold_up_the_others(outbox: Outbox) -> None:
    master = MemoryMaster()
    master.refused = "SOFTINST-1"
    outbox.instance(report("SOFTINST-1"))
    outbox.instance(report("SOFTINST-2"))
    outbox.deliver(master, "COMP-1")  # type: ignore[arg-type]
    assert [item.guid for item in master.got] == ["SOFTINST-2"]
    assert outbox.pending() == 0


def test_a_report_that_comes_during_the_delivery_is_not_lost(outbox: Outbox) -> None:
    class Meanwhile(MemoryMaster):
        def report(self, *args: Any, **more: Any) -> int:
            if not self.got:
                outbox.instance(report(sentence="newer"))
            return super().report(*args, **more)

    master = Meanwhile()
    outbox.instance(report())
    outbox.deliver(master, "COMP-1")  # type: ignore[arg-type]
    assert [item.sentence for item in master.got] == ["serving", "newer"]


def test_plans_are_sent_when_they_changed(outbox: Outbox) -> None:
    master = MemoryMaster()
    outbox.plan("slappart0", [{"actions": []}])
    outbox.deliver(master, "COMP-1")  # type: ignore[arg-type]
    outbox.plan("slappart0", [{"actions": []}])
    outbox.deliver(master, "COMP-1")  # type: ignore[arg-type]
    assert master.plans == [{"subjects": {"slappart0": [{"actions": []}]}}]


def test_plans_travel_with_reports_and_not_too_often(tmp_path: Path) -> None:
    outbox, master = Outbox(str(tmp_path / "outbox"), plan_seconds=0.2), MemoryMaster()
    outbox.plan("slappart0", [{"actions": [1]}])
    outbox.instance(report())
    outbox.deliver(master, "COMP-1")  # type: ignore[arg-type]
    assert (master.calls, len(master.plans)) == (1, 1)
    for number in (2, 3):
        outbox.plan("slappart0", [{"actions": [number]}])
        outbox.deliver(master, "COMP-1")  # type: ignore[arg-type]
    assert len(master.plans) == 1, "it is too early"
    assert outbox.filled.wait(5.0), "whoever delivers is woken once it is time"
    outbox.deliver(master, "COMP-1")  # type: ignore[arg-type]
    assert master.plans[1:] == [{"subjects": {"slappart0": [{"actions": [3]}]}}]


def test_no_plan_is_lost_with_a_message_that_did_not_arrive(tmp_path: Path) -> None:
    outbox, master = Outbox(str(tmp_path / "outbox"), plan_seconds=0.0), MemoryMaster()
    master.away = True
    outbox.plan("slappart0", [{"actions": []}])
    outbox.instance(report())
    with pytest.raises(Unavailable):
        outbox.deliver(master, "COMP-1")  # type: ignore[arg-type]
    master.away, master.refused = False, "SOFTINST-1"
    outbox.deliver(master, "COMP-1")  # type: ignore[arg-type]
    assert master.plans == [{"subjects": {"slappart0": [{"actions": []}]}}], "the report was refused, the plan not"
