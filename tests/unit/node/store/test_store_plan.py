"""Plans of a store: what may go, when and why; that a cut plan is continued, and that what is used never goes."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from slapos.node.plan import Action, Kind, Plan, apply_plan
from slapos.node.store.plan import ObservedStore, StorePart, plan_store
from slapos.node.store.record import StoreRecord, store_record_from_data, store_record_to_data

NOW = 1_700_000_000.0
DAY = 86400.0
GRACE = 7 * DAY
TOOL, BASE, OTHER = (f"{name}/{'0' * 32}" for name in ("tool", "base", "other"))


def store(*parts: StorePart, **more: object) -> ObservedStore:
    return ObservedStore("/store", parts, **more)  # type: ignore[arg-type]


def text(plan: Plan) -> list[str]:
    return [str(action) for action in plan.actions]


def test_what_is_used_or_needed_by_that_is_not_spoken_of() -> None:
    seen = store(StorePart(TOOL, (BASE,)), StorePart(BASE), used={TOOL: "/release"})
    assert plan_store(seen, NOW, GRACE) == Plan("/store")


def test_the_grace_time_begins_when_it_is_seen_first() -> None:
    plan = plan_store(store(StorePart(TOOL, size=2048)), NOW, GRACE)
    assert text(plan) == [f"begin the grace time of the part {TOOL}: nothing uses its 2.0 KiB"]
    assert plan.skips == ()


def test_it_goes_after_its_grace_time_and_the_plan_says_when() -> None:
    seen = store(StorePart(TOOL, size=2048), unused={TOOL: NOW})
    (skip,) = plan_store(seen, NOW + 6 * DAY, GRACE).skips
    assert skip.waiting
    assert str(skip) == (f"{TOOL}: nothing has used it since 2023-11-14 22:13 UTC; it goes after 2023-11-21 22:13 UTC")
    assert text(plan_store(seen, NOW + 7 * DAY, GRACE)) == [
        f"remove the part {TOOL}: nothing has used it since 2023-11-14 22:13 UTC; 2.0 KiB"
    ]


def test_without_grace_it_goes_at_once() -> None:
    plan = plan_store(store(StorePart(TOOL)), NOW, 0.0)
    assert text(plan) == [f"remove the part {TOOL}: nothing uses it; 0 B"]


def test_who_uses_it_again_ends_the_grace_time() -> None:
    seen = store(StorePart(TOOL, (BASE,)), StorePart(BASE), used={TOOL: "slappart0"}, unused={TOOL: 1.0, BASE: 1.0})
    assert text(plan_store(seen, NOW, GRACE)) == [
        f"end the grace time of the part {BASE}: a part that stays needs it",
        f"end the grace time of the part {TOOL}: slappart0 uses it",
    ]
    assert text(plan_store(store(unused={TOOL: 1.0}), NOW, GRACE)) == [
        f"end the grace time of the part {TOOL}: the store has it no more"
    ]


def test_what_a_younger_part_needs_waits_for_it() -> None:
    seen = store(StorePart(TOOL, (BASE,)), StorePart(BASE), unused={TOOL: NOW, BASE: NOW - GRACE})
    plan = plan_store(seen, NOW, GRACE)
    assert plan.actions == ()
    assert [skip.reason.partition("; ")[2] for skip in plan.skips] == [
        "it goes after 2023-11-21 22:13 UTC",
        "it goes with the younger part that needs it",
    ]


def test_parts_go_before_those_that_they_need() -> None:
    seen = store(StorePart(BASE), StorePart(OTHER, (TOOL, BASE)), StorePart(TOOL, (BASE,)))
    assert [action.subject for action in plan_store(seen, NOW, 0.0).actions] == [OTHER, TOOL, BASE]


def test_what_others_built_stays_with_what_it_needs() -> None:
    seen = store(StorePart(TOOL, (BASE,), ours=False), StorePart(BASE), unused={BASE: 1.0})
    assert text(plan_store(seen, NOW, 0.0)) == [f"end the grace time of the part {BASE}: a part that stays needs it"]


def test_clocks_that_were_wrong_remove_nothing() -> None:
    built = StorePart(TOOL, built_at=NOW - DAY)
    for since in (0.0, NOW - GRACE, NOW + 100 * DAY):  # before it was built, or not yet
        plan = plan_store(store(built, unused={TOOL: since}), NOW, GRACE)
        assert [action.kind for action in plan.actions] == [Kind.MARK_PART]


def test_what_killed_builds_left_goes_at_once() -> None:
    assert text(plan_store(store(left=2), NOW, GRACE)) == ["remove what killed builds left in /store: 2 unfinished"]


def test_a_record_is_read_back() -> None:
    record = StoreRecord("/store", {TOOL: 1.5}, 2.0, 3, 4)
    assert store_record_from_data({**store_record_to_data(record), "later": 1}) == record


NAMES = [f"p{number}/{number:032x}" for number in range(5)]


@st.composite
def stores(draw: st.DrawFn) -> ObservedStore:
    """Each part needs only ones with a smaller number, as digests allow."""
    parts = tuple(
        StorePart(name, tuple(draw(st.sets(st.sampled_from(NAMES[:number])))) if number else (), 1, NOW - DAY)
        for number, name in enumerate(NAMES)
        if draw(st.booleans())
    )
    used = draw(st.dictionaries(st.sampled_from(NAMES), st.just("/release")))
    unused = draw(st.dictionaries(st.sampled_from(NAMES), st.floats(NOW - 10 * DAY, NOW)))
    return ObservedStore("/store", parts, used, unused, draw(st.integers(0, 1)))


def cut(seen: ObservedStore, now: float, grace: float, actions: int) -> ObservedStore:
    """The store after so many actions of its plan, and the rest of the machine unchanged."""
    state = [seen]

    def change(**more: object) -> None:
        state[0] = dataclasses.replace(state[0], **more)  # type: ignore[arg-type]

    def without(name: str) -> dict[str, float]:
        return {other: since for other, since in state[0].unused.items() if other != name}

    def remove(action: Action) -> None:
        left = tuple(part for part in state[0].parts if part.name != action.subject)
        assert all(action.subject not in part.needs for part in left), "a part stays without what it needs"
        assert action.subject not in seen.used
        change(parts=left, unused=without(action.subject))

    effects = {
        Kind.SPARE_PART: lambda action: change(unused=without(action.subject)),
        Kind.MARK_PART: lambda action: change(unused={**state[0].unused, action.subject: now}),
        Kind.REMOVE_PART: remove,
        Kind.SWEEP_STORE: lambda action: change(left=0),
    }
    plan = plan_store(seen, now, grace)
    outcome = apply_plan(Plan(plan.subject, plan.actions[:actions]), effects)
    assert outcome.error is None
    return state[0]


@given(stores(), st.sampled_from([0.0, DAY, GRACE]), st.integers(0, 12))
def test_a_plan_that_is_cut_anywhere_is_continued(seen: ObservedStore, grace: float, actions: int) -> None:
    whole = cut(seen, NOW, grace, 100)
    again = cut(cut(seen, NOW, grace, actions), NOW, grace, 100)
    assert again == whole
    assert plan_store(whole, NOW, grace).actions == ()
