"""Plans of releases, and what a build says of itself."""

from __future__ import annotations

import pytest

from slapos.build.job import Progress
from slapos.model.objects import Supply
from slapos.model.states import SupplyState
from slapos.node.plan import Kind
from slapos.node.software.plan import ObservedRelease, ReleaseRecord, plan_release
from slapos.node.software.speaker import Forecast

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


def test_sentence_with_what_is_to_go() -> None:
    forecast = Forecast({"zlib": 10.0, "openssl": 80.0, "nginx": 40.0}, begun=100.0)
    assert forecast.sentence(100.0) == "the build begins"
    forecast.take(Progress("zlib", 1, 3, "install", 0.0, 10.0), 100.0)
    assert forecast.sentence(104.0) == "building zlib (1 of 3), 4 s, about 126 s to go"
    forecast.take(Progress("openssl", 2, 3, "install", 10.0, 80.0), 110.0)
    assert forecast.sentence(140.0) == "building openssl (2 of 3), 40 s, about 90 s to go"
    assert forecast.sentence(300.0) == "building openssl (2 of 3), 200 s, about 40 s to go"


def test_sentence_of_a_first_build() -> None:
    forecast = Forecast({}, begun=0.0)
    forecast.take(Progress("openssl", 2, 7, "fetch", 3.0), 3.0)
    assert forecast.sentence(5.0) == "fetching openssl (2 of 7), 5 s"
