"""Instances, nodes and supplies as people see them: rich renderables made of model data; nothing is printed here."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from slapos.cli.output import error_lines, state, table
from slapos.cli.parameters import carried_values
from slapos.model.objects import Event, Instance, NodeView, Supply
from slapos.model.text import printable

if TYPE_CHECKING:
    from slapos.slap.client import Tree as InstanceTree


#: Of what a node says of itself; the rest is for programs.
SHOWN_DETAILS = ("os", "machine", "processors", "python", "version")
UNFORMATTED = "none: it is not formatted; run 'slapos node format' there"
#: Characters of one parameter.
VALUE_LIMIT = 2_000


def fields(rows: Iterable[tuple[str, RenderableType]]) -> RenderableType:
    """``name  value`` lines."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="dim")
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(name, Text(value) if isinstance(value, str) else value)
    return made


def ago(second: int, now: float | None = None) -> str:
    """``12 s ago``; ``never`` for 0."""
    if not second:
        return "never"
    passed = max(0, int((time.time() if now is None else now) - second))
    return f"{duration(passed)} ago"


def duration(seconds: float) -> str:
    """``8 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``."""
    whole = int(seconds)
    for size, name, small, small_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {name} {rest} {small_name}" if rest else f"{whole // size} {name}"
    return f"{whole} s"


def short_release(url: str) -> str:
    """``website`` for ``…/software/website/software.cfg``; the URL where it has another form."""
    parts = url.rstrip("/").split("/")
    return parts[-2] if len(parts) > 1 and parts[-1] == "software.cfg" else url


def instance_table(instances: Sequence[Instance]) -> RenderableType:
    rows = [
        (
            item.title,
            item.guid,
            state(item.health),
            item.state,
            short_release(item.release),
            item.master or item.node,
            item.sentence,
        )
        for item in instances
    ]
    columns = ("title", "reference", "health", "wanted", "release", "node", "what it does")
    return table(columns, rows, "There are no instances yet. Order one with 'slapos request'.")


def place_of(item: Instance) -> str:
    """Where it lives; that of another master is no node of ours, whatever it is called."""
    return " ".join(part for part in (item.node, item.partition, f"at {item.master}" if item.master else "") if part)


def tree_view(branch: InstanceTree) -> RenderableType:
    """The tree with states, sentences and promises."""
    tree = Tree(branch_label(branch.instance), guide_style="dim")
    add_children(tree, branch)
    return tree


def add_children(tree: Tree, branch: InstanceTree) -> None:
    for child in branch.children:
        add_children(tree.add(branch_label(child.instance)), child)


def branch_label(item: Instance) -> RenderableType:
    words = [Text(item.title, style="bold"), state(item.health)]
    if item.orphan:
        words.append(state("orphan"))
    kind = "shared" if item.shared else item.software_type
    place = place_of(item)
    words.append(Text(" · ".join(part for part in (item.guid, kind, place) if part), style="dim"))
    lines: list[RenderableType] = [Text("  ").join(words)]
    if item.sentence:
        lines.append(Text(item.sentence))
    lines += [Text(f"  {reason}", style="yellow") for reason in item.reasons if reason not in item.sentence]
    lines += [
        Text.assemble(("✓ ", "green") if promise.ok else ("✗ ", "red"), promise.name, ("  " + promise.message, "dim"))
        for promise in item.promises
    ]
    return Group(*lines)


def instance_view(item: Instance, *, below_tree: bool = False) -> RenderableType:
    """What a requester wants to know of an instance: where it is, what it was told, what it tells.

    ``below_tree``: what :func:`tree_view` says is not repeated.
    """
    rows: list[tuple[str, RenderableType]] = [
        ("title", item.title),
        ("reference", item.guid),
        ("release", item.release),
        ("software type", item.software_type + (" (shared)" if item.shared else "")),
        ("wanted", state(item.state)),
        ("node", place_of(item) or "none yet"),
    ]
    rows += [("health", state(item.health)), ("what it does", item.sentence)] if not below_tree else []
    rows += [("addresses", ", ".join(address.ip for address in item.addresses))] if item.addresses else []
    rows += [("SLA", ", ".join(f"{key}={value}" for key, value in item.sla.items()))] if item.sla else []
    parts: list[RenderableType] = [fields(rows)]
    parts += [Text(""), *error_lines(item.error)] if item.error else []
    for title, values in (("parameters", item.parameters), ("connection parameters", item.connection)):
        parts.append(Text(f"\n{title}", style="bold"))
        shown = [(key, value_text(value)) for key, value in sorted(carried_values(values).items())]
        parts.append(fields(shown) if shown else Text("none", style="dim"))
    return Group(*parts)


def value_text(value: object) -> str:
    """A text as it is, anything else as JSON; of a long one the beginning."""
    text = printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2))
    if len(text) <= VALUE_LIMIT:
        return text
    return f"{text[:VALUE_LIMIT]}… ({len(text)} characters; all of them with --format json)"


def node_table(nodes: Sequence[NodeView]) -> RenderableType:
    rows = [
        (node.reference, node.name, state(presence(node)), f"{node.busy} of {node.partitions}",
         ago(node.seen))
        for node in nodes
    ]  # fmt: skip
    columns = ("reference", "name", "state", "partitions in use", "last seen")
    return table(columns, rows, "There are no nodes yet. Make one with 'slapos node register'.")


def presence(node: NodeView) -> str:
    """A master of another kind lists nodes without knowing whether they are there."""
    if not node.online:
        return "offline"
    return "online" if node.seen else "unknown"


def node_view(node: NodeView) -> RenderableType:
    rows: list[tuple[str, RenderableType]] = [
        ("reference", node.reference),
        ("name", node.name),
        ("state", state(presence(node))),
        ("last seen", ago(node.seen)),
        ("partitions", f"{node.busy} of {node.partitions} in use" if node.partitions else UNFORMATTED),
    ]
    rows += [("network", node.network)] if node.network else []
    rows += [(name, str(node.details[name])) for name in SHOWN_DETAILS if node.details.get(name)]
    failures = [line for item in node.supplies if item.error for line in (Text(""), *failure_lines(item))]
    return Group(fields(rows), Text("\nreleases", style="bold"), supply_table(node.supplies), *failures)


def failure_lines(item: Supply) -> Iterator[Text]:
    """Why a release is not there, with what helps to mend it."""
    yield Text(item.release, style="bold")
    yield from error_lines(item.error)


def supply_table(supplies: Sequence[Supply]) -> RenderableType:
    rows = [
        (item.release, item.state, state(item.reported), "see below" if item.error else item.sentence)
        for item in supplies
    ]
    return table(("release", "wanted", "state", "what it does"), rows, "No release is supplied.")


def event_table(events: Sequence[Event]) -> RenderableType:
    rows = [
        (time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(event.date)), event.kind, event.actor, event.sentence)
        for event in events
    ]
    return table(("date", "what", "who", "sentence"), rows, "Nothing happened yet.")
