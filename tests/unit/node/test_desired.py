"""The wanted state: merged, kept on disk, and which changes are a reason to act."""

from __future__ import annotations

from pathlib import Path

from slapos.model.objects import NodeState, Supply
from slapos.model.states import Health, SupplyState
from slapos.node.desired import Desired
from tests.unit.node.samples import instance


def supply(release: str, state: str = "available") -> Supply:
    return Supply(release, "COMP-1", SupplyState(state))


def test_kept_over_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "state" / "desired.json")
    first = Desired(path)
    assert not first.known
    first.accept(NodeState(5, True, (supply("/r"),), {"slappart0": instance(), "slappart1": None}))
    again = Desired(path)
    assert again.known
    assert again.state == first.state
    assert again.instance("slappart0") == instance()


def test_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "desired.json"
    path.write_text('{"generation": 5')
    assert not Desired(str(path)).known
    path.write_text('{"generation": "five"}')
    assert not Desired(str(path)).known


def test_changes_are_merged_and_named(tmp_path: Path) -> None:
    desired = Desired(str(tmp_path / "desired.json"))
    desired.accept(NodeState(1, True, (supply("/a"), supply("/b")), {"slappart0": None, "slappart1": instance()}))
    update = NodeState(2, False, (supply("/b", "destroyed"),), {"slappart0": instance(guid="SOFTINST-2")})
    assert desired.accept(update) == ({"slappart0"}, {"/b"})
    assert desired.state.generation == 2
    assert desired.state.complete
    assert desired.instance("slappart1") == instance()
    assert {item.release: str(item.state) for item in desired.state.supplies} == {"/a": "available", "/b": "destroyed"}


def test_own_reports_are_no_reason_to_act(tmp_path: Path) -> None:
    desired = Desired(str(tmp_path / "desired.json"))
    desired.accept(NodeState(1, True, (), {"slappart0": instance()}))
    reported = instance(health=Health.OK, sentence="serving", connection={"url": "x"}, generation=9)
    assert desired.accept(NodeState(2, False, (), {"slappart0": reported})) == (set(), set())
    assert desired.instance("slappart0") == reported, "but they are known"
    assert desired.accept(NodeState(3, False, (), {"slappart0": instance(timestamp=8)})) == ({"slappart0"}, set())


def test_a_complete_state_forgets_what_is_gone(tmp_path: Path) -> None:
    desired = Desired(str(tmp_path / "desired.json"))
    desired.accept(NodeState(1, True, (supply("/a"),), {"slappart0": instance()}))
    assert desired.accept(NodeState(2, True, (), {})) == ({"slappart0"}, {"/a"})
    assert dict(desired.state.partitions) == {}


def test_users_of_a_release_do_not_count_the_destroyed(tmp_path: Path) -> None:
    desired = Desired(str(tmp_path / "desired.json"))
    gone = instance(title="gone", state="destroyed")
    desired.accept(NodeState(1, True, (), {"slappart0": instance(), "slappart1": gone, "slappart2": None}))
    assert desired.users("/release/software.cfg") == ("one",)
    assert desired.partitions_of("/release/software.cfg") == ("slappart0", "slappart1")
