"""What a plan says of parts in every state; pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from slapos.build.graph import Graph, Link, PartNode
from slapos.build.plan import Observed, Plan, PlanLine, make_plan
from slapos.build.store.inputs import Inputs
from slapos.build.why import explain
from slapos.model.profiles import Origin

LOW = Inputs("low", "r:x", "interface=1 source=0", options={"flags": "-O2"})
OLD_LOW = dataclasses.replace(LOW, options={"flags": "-O1"})


def top(low: Inputs) -> Inputs:
    options = {"with": f"-L@STORE@/low/{low.digest}/lib"}
    return Inputs("top", "r:x", "interface=1 source=0", options=options, dependencies={"low": low.digest})


GRAPH = Graph(
    (
        PartNode(
            "low",
            "r:x",
            outputs={"location": "/s/low/new"},
            inputs=LOW,
            origins={"flags": (Origin("base.cfg", 3), Origin("low.cfg", 7))},
        ),
        PartNode(
            "top",
            "r:x",
            outputs={"location": "/s/top/new"},
            inputs=top(LOW),
            links=(Link("low", "with", ("low:location",), Origin("top.cfg", 4)),),
        ),
        PartNode("page", "hyperopenx:template", private="hyperopenx:template makes parts of one release"),
        PartNode("egg", "zc.recipe.egg", opaque=True),
        PartNode("bad", problem="bad.cfg:1 [bad] x: ${y:z} names a section that does not exist."),
    ),
    "/releases/x/software.cfg",
    {"top": Origin("software.cfg", 2), "page": None},
)


def planned(**observed: Any) -> dict[str, PlanLine]:
    return {line.part: line for line in make_plan(GRAPH, Observed(**observed)).lines}


def records(*inputs: Inputs) -> Mapping[str, Inputs]:
    return {item.part: item for item in inputs}


def test_each_part_has_a_state_and_a_reason() -> None:
    lines = planned(present={"low": "/s/low/new"}, missing={"top": 12_000, "page": 5})
    assert {part: line.state for part, line in lines.items()} == {
        "low": "present",
        "top": "build",
        "page": "private",
        "egg": "opaque",
        "bad": "problem",
    }
    assert (lines["top"].reason, lines["top"].download_bytes) == ("it was never built here", 12_000)
    assert lines["page"].reason == "hyperopenx:template makes parts of one release"
    assert lines["egg"].reason == "zc.recipe.egg is not ours, and runs without a sandbox"
    assert lines["bad"].reason.startswith("bad.cfg:1 [bad] x:")


def test_a_changed_dependency_is_no_changed_option() -> None:
    line = planned(former=records(top(OLD_LOW)), released=frozenset({"top"}))["top"]
    assert [change.sentence for change in line.changes] == ["low changed"]
    assert (line.reason, line.former) == ("low changed", top(OLD_LOW).digest)


def test_a_part_that_another_release_built_is_named_as_such() -> None:
    line = planned(former=records(OLD_LOW))["low"]
    assert line.reason == "the store has another low: option `flags` changed: -O1 → -O2"


def test_of_many_changes_the_first_is_told() -> None:
    old = dataclasses.replace(LOW, options={"flags": "-O1", "a": "1", "b": "2"})
    reason = planned(former=records(old), released=frozenset({"low"}))["low"].reason
    assert reason == "option `a` is gone, it was: 1, and 2 more changes"


def test_a_part_that_went_has_no_change() -> None:
    line = planned(former=records(LOW), released=frozenset({"low"}))["low"]
    assert (line.changes, line.reason) == ((), "it was built with the same inputs, but is not in the store any more")


def test_a_cached_part_costs_its_archive_and_no_time() -> None:
    line = planned(cached={"low": 900}, former=records(OLD_LOW), seconds={"low": 60.0}, missing={"low": 5})["low"]
    assert (line.state, line.seconds, line.download_bytes) == ("cached", 0.0, 900)
    assert "option `flags` changed" in line.reason


def test_sums_say_what_they_leave_out() -> None:
    plan = make_plan(GRAPH, Observed(seconds={"low": 60.0}, missing={"low": 1000, "top": None}))
    data = plan.as_data()
    assert (plan.seconds, plan.download_bytes) == (60.0, 1000)
    assert (data["unknown_seconds"], data["unknown_bytes"]) == (1, 2)
    assert data["states"] == {"present": 0, "cached": 0, "build": 2, "private": 1, "opaque": 1, "problem": 1}


def plan_of_change() -> tuple[Observed, Plan]:
    observed = Observed(
        former=records(OLD_LOW, top(OLD_LOW)),
        released=frozenset({"low", "top"}),
        known={f"low/{OLD_LOW.digest}": OLD_LOW},
    )
    return observed, make_plan(GRAPH, observed)


def test_why_follows_a_change_to_its_line() -> None:
    told = explain(GRAPH, *plan_of_change(), "top")
    (cause,) = told.causes
    assert (cause.difference.name, str(cause.origin)) == ("low", "top.cfg:4")
    (root,) = told.roots
    assert (root.difference.sentence, str(root.origin)) == ("option `flags` changed: -O1 → -O2", "low.cfg:7")


def test_why_says_how_the_part_came_into_the_release() -> None:
    told = explain(GRAPH, *plan_of_change(), "low")
    assert [step.sentence for step in told.steps] == [
        "[buildout] parts names top (software.cfg:2)",
        "top needs low: option `with` refers to ${low:location} (top.cfg:4)",
    ]


def test_an_option_that_names_a_changed_one_is_not_the_root() -> None:
    old = dataclasses.replace(LOW, options={"flags": "-O1 -g", "level": "-O1"})
    new = dataclasses.replace(LOW, options={"flags": "-O2 -g", "level": "-O2"})
    node = PartNode("low", "r:x", inputs=new, reads={"flags": ("level", "other")}, origins={"level": (Origin("a", 1),)})
    graph = Graph((node,), "p", {"low": None})
    observed = Observed(former=records(old), released=frozenset({"low"}))
    plan = make_plan(graph, observed)
    assert plan.lines[0].reason == "option `level` changed: -O1 → -O2"
    told = explain(graph, observed, plan, "low")
    assert [cause.difference.name for cause in told.causes] == ["flags"]
    assert [(root.difference.name, str(root.origin)) for root in told.roots] == [("level", "a:1")]


def test_what_is_not_known_any_more_ends_the_chain() -> None:
    observed = dataclasses.replace(plan_of_change()[0], known={})
    told = explain(GRAPH, observed, make_plan(GRAPH, observed), "top")
    assert [root.difference.sentence for root in told.roots] == ["low changed"]


@pytest.mark.parametrize("part", ["page", "egg", "bad"])
def test_parts_outside_the_store_have_no_causes(part: str) -> None:
    told = explain(GRAPH, *plan_of_change(), part)
    assert told.causes == () and told.line.reason
