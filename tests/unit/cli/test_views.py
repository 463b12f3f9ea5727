"""What people see of instances and nodes."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console, RenderableType

from slapos.cli import views
from slapos.model.objects import Event, Instance, NodeView, PromiseResult, Supply
from slapos.model.states import Health, InstanceState, SupplyReport, SupplyState
from slapos.slap.client import Tree

INSTANCE = Instance(
    guid="SOFTINST-1",
    title="shop [a]",
    root_guid="SOFTINST-1",
    root_title="shop [a]",
    project="main",
    release="/catalogue/software/website/software.cfg",
    software_type="default",
    state=InstanceState.STARTED,
    parameters={"title": "[red]x[/]"},
    sla={"computer_guid": "COMP-1"},
    connection={"url": "https://127.1.1.1:8080/"},
    node="COMP-1",
    partition="slappart0",
    health=Health.OK,
    sentence="It runs.",
)


def shown(item: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=160, highlight=False)
    console.print(item)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_tree_shows_states_sentences_and_promises() -> None:
    promises = (PromiseResult("served", True, "200", 1), PromiseResult("lasts", False, "ends tomorrow", 1))
    child = replace(
        INSTANCE, title="child", guid="SOFTINST-2", health=Health.WAITING, sentence="Waits for db.", orphan=True
    )
    text = shown(views.tree_view(Tree(replace(INSTANCE, promises=promises), (Tree(child),))))
    for part in (
        "shop [a]",
        "ok",
        "It runs.",
        "✓ served",
        "✗ lasts",
        "└── child",
        "waiting",
        "orphan",
        "Waits for db.",
    ):
        assert part in text


def test_reasons_of_a_pending_order_are_shown() -> None:
    pending = replace(INSTANCE, node="", partition="", health=Health.PENDING, reasons=("1 node is full (10/10)",))
    assert "1 node is full (10/10)" in shown(views.tree_view(Tree(pending)))
    assert "none yet" in shown(views.instance_view(pending))


def test_what_another_master_serves_is_on_no_node_of_ours() -> None:
    there = replace(INSTANCE, master="https://far.example.org:8443")
    for view in (views.instance_view(there), views.tree_view(Tree(there))):
        assert "COMP-1 slappart0 at https://far.example.org:8443" in shown(view)
    listed = shown(views.instance_table([there]))
    assert "https://far.example.org:8443" in listed and "COMP-1" not in listed


def test_values_are_not_markup() -> None:
    text = shown(views.instance_view(INSTANCE))
    assert "[red]x[/]" in text
    assert "https://127.1.1.1:8080/" in text
    assert "shop [a]" in shown(views.instance_table([INSTANCE]))


def test_empty_lists_say_what_to_do() -> None:
    assert "slapos request" in shown(views.instance_table([]))
    assert "slapos node register" in shown(views.node_table([]))


def test_node_shows_its_releases() -> None:
    supply = Supply("/r", "COMP-1", SupplyState.AVAILABLE, reported=SupplyReport.BUILDING, sentence="openssl, 2 of 5")
    node = NodeView("COMP-1", "local", "main", 0, False, 10, 3, details={"os": "Debian"}, supplies=(supply,))
    text = shown(views.node_view(node))
    for part in ("offline", "never", "3 of 10 in use", "building", "openssl, 2 of 5", "Debian"):
        assert part in text


def test_news() -> None:
    event = Event(1, 0, "SOFTINST-1", "requested", "admin ordered it.", "admin")
    assert "1970-01-01 00:00:00 UTC" in shown(views.event_table([event]))


def test_durations_are_for_people() -> None:
    durations = [views.duration(seconds) for seconds in (0.4, 59, 60, 200, 7500, 100000)]
    assert durations == ["0 s", "59 s", "1 min", "3 min 20 s", "2 h 5 min", "1 d 3 h"]
    assert views.ago(90, now=100) == "10 s ago"


def test_release_is_named_by_its_directory() -> None:
    assert views.short_release("/c/software/website/software.cfg") == "website"
    assert views.short_release("https://example.org/x.cfg") == "https://example.org/x.cfg"
