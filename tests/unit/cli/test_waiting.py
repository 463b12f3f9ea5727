"""Waiting for an order: when it ends, what is shown, when it gives up.  The master is a list of what it says next."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from slapos.cli import waiting
from slapos.cli.progress import Progress
from slapos.model.errors import BuildFailed, NotFound, NotReady, Refused
from slapos.model.objects import Instance, NodeView, Supply
from slapos.model.states import Health, InstanceState, SupplyReport, SupplyState
from slapos.slap.client import Tree
from tests.unit.cli.test_views import INSTANCE

WORKING = replace(INSTANCE, health=Health.WORKING, sentence="It is processed.")


class Scripted:
    """Says the instances of the script one after the other, the last one for ever."""

    def __init__(self, *said: Instance | Exception, supply: Supply | None = None) -> None:
        self.said = list(said)
        self.supply = supply

    def tree(self, guid: str) -> Tree:
        now = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        if isinstance(now, Exception):
            raise now
        return Tree(now)

    def node(self, reference: str) -> NodeView:
        if self.supply is None:
            raise Refused("You may not see it.")
        return NodeView(reference, "n", "main", 0, True, 1, 1, supplies=(self.supply,))


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.0)


def wait(client: Any, instance: Instance = WORKING, seconds: float = 5.0) -> tuple[Instance, str]:
    shown = io.StringIO()
    progress = Progress(console=Console(file=shown, width=200))
    return waiting.wait_until_served(client, instance, seconds, progress), shown.getvalue()


def supply(reported: SupplyReport, sentence: str) -> Supply:
    return Supply(INSTANCE.release, "COMP-1", SupplyState.AVAILABLE, reported=reported, sentence=sentence)


def test_ends_when_it_is_served() -> None:
    instance, shown = wait(Scripted(WORKING, INSTANCE))
    assert instance.health is Health.OK
    assert "It is processed." in shown


@pytest.mark.parametrize(
    ("state", "health"), [(InstanceState.STOPPED, Health.STOPPED), (InstanceState.DESTROYED, Health.DESTROYED)]
)
def test_ends_when_it_is_what_was_asked_for(state: InstanceState, health: Health) -> None:
    broken = supply(SupplyReport.ERROR, "It does not compile.")
    wanted = replace(WORKING, state=state)
    instance, _ = wait(Scripted(wanted, replace(wanted, health=health), supply=broken), wanted)
    assert instance.health is health


def test_gone_is_destroyed() -> None:
    wanted = replace(WORKING, state=InstanceState.DESTROYED)
    assert wait(Scripted(wanted, NotFound("It is gone.")), wanted)[0] == wanted
    with pytest.raises(NotFound):
        wait(Scripted(NotFound("It is gone.")))


def test_build_is_shown_while_it_lasts() -> None:
    _, shown = wait(Scripted(WORKING, INSTANCE, supply=supply(SupplyReport.BUILDING, "make openssl (2 of 5), 30 s")))
    assert "website: make openssl (2 of 5), 30 s" in shown


def test_gives_up_with_the_reasons() -> None:
    pending = replace(WORKING, node="", health=Health.PENDING, reasons=("no node",), sentence="No node is free.")
    with pytest.raises(NotReady) as caught:
        wait(Scripted(pending), pending, seconds=0.01)
    assert caught.value.context["reasons"] == ["no node"]
    assert "service info SOFTINST-1" in caught.value.hint


@pytest.mark.parametrize("build", [True, False])
def test_lasting_failure_is_told(monkeypatch: pytest.MonkeyPatch, build: bool) -> None:
    monkeypatch.setattr(waiting, "ERROR_SECONDS", 0.0)
    failing = replace(WORKING, health=Health.WORKING if build else Health.ERROR, sentence="It crashed.")
    client = Scripted(failing, supply=supply(SupplyReport.ERROR, "It does not compile.") if build else None)
    with pytest.raises(BuildFailed) as caught:
        wait(client, failing)
    assert caught.value.message == ("It does not compile." if build else "It crashed.")
    assert caught.value.reference == ("release-fails" if build else "instance-fails")


def test_failure_that_passes_is_no_failure() -> None:
    failing = replace(WORKING, health=Health.ERROR)
    assert wait(Scripted(failing, WORKING, failing, INSTANCE))[0].health is Health.OK


def test_a_new_try_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last error is still told while the next build runs, which may take minutes."""
    monkeypatch.setattr(waiting, "ERROR_SECONDS", 0.0)
    building = replace(supply(SupplyReport.BUILDING, "make nginx"), error={"message": "It was interrupted."})
    client = Scripted(WORKING, WORKING, INSTANCE, supply=building)
    assert wait(client)[0].health is Health.OK


def test_counting_alone_is_no_news() -> None:
    shown = io.StringIO()
    progress = Progress(console=Console(file=shown, width=200))
    ticks = iter(range(5))

    def look() -> tuple[bool, Text, str]:
        tick = next(ticks)
        return tick == 4, Text(""), f"make openssl, {tick} s" if tick < 4 else "done"

    assert progress.watch(look, every=0.0, seconds=5.0)
    assert [line.strip().split("  ")[1] for line in shown.getvalue().splitlines()] == ["make openssl, 0 s", "done"]


def test_steps_leave_a_line_each() -> None:
    shown = io.StringIO()
    progress = Progress(console=Console(file=shown, width=200))
    with progress.step("Doing it", "Did it"):
        pass
    with progress.step("Looking"):
        pass
    with progress.step("Counting") as say:
        say("Counted 3")
    assert shown.getvalue() == "✓ Did it\n✓ Counted 3\n"
    with Progress().step("Silently") as say:
        say("nothing")
