"""An instance that requests another one: waiting is a sentence, not an error; the list of children; orphans."""

from __future__ import annotations

from slapos.model.objects import Instance
from slapos.model.states import Health
from slapos.testing.waiting import wait_for
from tests.functional.node.harness import RealNode, Site, page


def child_of(site: Site, title: str) -> Instance | None:
    children = site.operator.tree(title=title).children
    return children[0].instance if children else None


def test_parent_waits_for_its_child_and_publishes(site: Site, node: RealNode) -> None:
    site.order("family", kind="parent", text="first")
    seen: set[tuple[Health, str]] = set()

    def served() -> Instance | None:
        found = site.operator.instance(title="family")
        seen.add((found.health, found.sentence))
        return found if found.health is Health.OK and found.connection else None

    parent = wait_for(served, 60, "the parent has its child's url")
    assert parent is not None
    assert page(parent)["text"] == "first"
    assert not [item for item in seen if item[0] is Health.ERROR]
    child = child_of(site, "family")
    assert child is not None
    assert child.connection == parent.connection
    assert not child.orphan


def test_changed_parameter_goes_down_the_tree(site: Site, node: RealNode) -> None:
    site.order("family", kind="parent", text="second")
    parent = site.operator.instance(title="family")
    wait_for(lambda: page(parent)["text"] == "second", 30, "the child serves the new text")


def test_a_child_no_longer_requested_is_an_orphan(site: Site, node: RealNode) -> None:
    site.order("family", kind="alone", text="third")
    wait_for(lambda: (child_of(site, "family") or parent_missing()).orphan, 30, "the child is an orphan")
    child = child_of(site, "family")
    assert child is not None
    assert page(child)["text"] == "second", "shown, never destroyed alone"


def parent_missing() -> Instance:
    raise AssertionError("the parent has no child")


def test_destroying_the_root_destroys_the_tree(site: Site, node: RealNode) -> None:
    site.order("family", kind="alone", state="destroyed")
    wait_for(lambda: site.operator.node(node.reference).busy == 0, 40, "both partitions are free")
    assert node.services() == {}
