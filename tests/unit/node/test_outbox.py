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

    def report(self, node: str, instances: Any = (), supplies: Any = (), plan: Any = None, online: bool = True) -> int:
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
