"""Plans of releases, and what a build says of itself."""

from __future__ import annotations

import pytest

from slapos.model.objects import Supply
from slapos.model.states import SupplyState
from slapos.node.plan import Kind
from slapos.node.software.plan import ObservedRelease, ReleaseRecord, plan_release

URL = "/catalogue/software/website/software.cfg"
WISHED = Supply(URL, "COMP-1", SupplyState.AVAILABLE)
UNWISHED = Supply(URL, "COMP-1", SupplyState.DESTROYED)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (ReleaseRecord(), "it is not built yet"),
        (ReleaseRecord(URL, "failed", "no compiler"), "the last build failed: no compiler"),
        (ReleaseRecord(URL, "building"), "the last build did not end"),
    ],
)
def test_build_and_why(record: ReleaseRecord, reason: str) -> None:
    plan = plan_release(WISHED, ObservedRelease(URL, record))
    assert [(action.kind, action.reason) for action in plan.actions] == [(Kind.BUILD, reason)]


def test_built_is_left_alone() -> None:
    assert plan_release(WISHED, ObservedRelease(URL, exists=True, complete=True)).actions == ()


def test_changed_profile_is_said() -> None:
    plan = plan_release(WISHED, ObservedRelease(URL, exists=True, complete=True, changed=(URL,)))
    assert plan.actions == ()
    assert "changed since it was built" in plan.skips[0].reason


def test_used_release_stays_and_says_who_uses_it() -> None:
    plan = plan_release(UNWISHED, ObservedRelease(URL, exists=True, complete=True, users=("blog", "shop")))
    assert plan.actions == ()
    assert plan.skips[0].reason == "it is used by 2 instance(s): blog, shop"
    assert plan.skips[0].waiting


@pytest.mark.parametrize("supply", [UNWISHED, None])
def test_unused_release_is_removed_and_a_cut_removal_continued(supply: Supply | None) -> None:
    observed = ObservedRelease(URL, ReleaseRecord(URL, "done"), exists=True, complete=True)
    plan = plan_release(supply, observed)
    assert [action.kind for action in plan.actions] == [Kind.REMOVE_RELEASE, Kind.FORGET_RELEASE]
    cut = plan_release(supply, ObservedRelease(URL, ReleaseRecord(URL, "done")))
    assert [action.kind for action in cut.actions] == [Kind.FORGET_RELEASE]
    assert plan_release(supply, ObservedRelease(URL)).actions == ()
