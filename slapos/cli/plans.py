"""Plans of builds and their reasons as people see them: rich renderables, nothing is printed here."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from slapos.build.graph import Graph
from slapos.build.plan import Plan, PlanLine, is_plain
from slapos.build.why import Cause, Explanation
from slapos.cli.views import duration, fields, short_release
from slapos.model.profiles import Origin

COLOURS = {
    "present": "green", "cached": "cyan", "build": "yellow", "private": "dim", "opaque": "magenta", "problem": "red",
}  # fmt: skip
_UNITS = ("B", "kB", "MB", "GB")
#: Parts of the release's directory that are named; of more, the number.
_NAMED = 6


def plan_view(graph: Graph, plan: Plan) -> RenderableType:
    """The parts as a tree, each once; what only copies files into the release in one line; and the sum."""
    tree = Tree(Text(short_release(graph.profile), style="bold"), guide_style="dim")
    plain = [line.part for line in plan.of_state("private") if is_plain(graph, line)]
    shown = set(plain)
    for part in graph.listed:
        if part not in plain:
            _add(tree, graph, plan, part, shown)
    for line in plan.lines:
        if line.part not in shown:
            _add(tree, graph, plan, line.part, shown)
    if plain:
        tree.add(Text(_plain_line(plain), style="dim"))
    return Group(tree, Text(""), Text(summary(plan)))


def why_view(explanation: Explanation) -> RenderableType:
    """The state of a part, the tree of changed inputs, and how the part came into the release."""
    line, built = explanation.line, explanation.built
    tree = Tree(part_label(line), guide_style="dim")
    if explanation.before is not None:
        tree.add(Text("it was built because, since the one before:", style="dim"))
    for cause in explanation.causes:
        _add_cause(tree, cause)
    rows: list[tuple[str, RenderableType]] = []
    if line.digest:
        rows.append(("digest", line.digest))
    if built is not None:
        rows.append(("built", f"{_date(built.built_at)}, in {built.total_seconds:.0f} s, by {built.builder}"))
        rows.append(("sandbox", built.sandbox))
    if explanation.before is not None:
        rows.append(("before", f"{explanation.before.inputs.digest}, built {_date(explanation.before.built_at)}"))
    if line.former:
        rows.append(("was", line.former))
    if line.location:
        rows.append(("place", line.location))
    steps = [Text(step.sentence) for step in explanation.steps]
    rows += [("in the release" if number == 0 else "", step) for number, step in enumerate(steps)]
    return Group(tree, Text(""), fields(rows))


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def part_label(line: PlanLine) -> Text:
    """``openssl  build  option … changed  ~62 s  ↓ 52.1 MB``."""
    label = Text.assemble((line.part, "bold"), "  ", (line.state, COLOURS[line.state]))
    if line.state != "present":
        label.append(f"  {line.reason}")
    if amounts := amounts_of(line):
        label.append(f"  {amounts}", style="dim")
    return label


def amounts_of(line: PlanLine) -> str:
    """Expected time and bytes to fetch, as far as they are known and not nothing."""
    words = [f"~{duration(line.seconds)}"] if line.seconds and line.seconds >= 1 else []
    if line.download_bytes is None and line.state == "build":
        words.append("↓ ?")
    elif line.download_bytes:
        words.append(f"↓ {size(line.download_bytes)}")
    return "  ".join(words)


def summary(plan: Plan) -> str:
    """One or two sentences: how many parts are built and fetched, how long that takes, how much comes over the net."""
    counts = [
        (len(plan.of_state("build")), "to build"),
        (len(plan.of_state("cached")), "from the binary cache"),
        (len(plan.of_state("present")), "present"),
        (len(plan.of_state("private")), "made in the release's directory"),
        (len(plan.of_state("opaque")), "of other people's recipes"),
        (len(plan.of_state("problem")), "with a problem"),
    ]
    text = ", ".join(f"{count} {what}" for count, what in counts if count) or "No parts"
    return " ".join([f"{text}.", *_costs(plan)])


def size(amount: int) -> str:
    """``812 B``, ``52.1 MB``; powers of 1000."""
    value, unit = float(amount), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 or value >= 100 else f"{value:.1f} {_UNITS[unit]}"


def _costs(plan: Plan) -> list[str]:
    data = plan.as_data()
    found = []
    if plan.of_state("build"):
        unknown = f", without the {data['unknown_seconds']} never built before" if data["unknown_seconds"] else ""
        if plan.seconds >= 1 or not unknown:
            found.append(f"About {duration(plan.seconds)} of building one after another{unknown}.")
        else:
            found.append("How long it takes is not known: none of it was built before.")
    if plan.download_bytes:
        more = " and what could not be asked" if any(line.download_bytes is None for line in plan.lines) else ""
        found.append(f"{size(plan.download_bytes)} to fetch{more}.")
    return found


def _plain_line(parts: Sequence[str]) -> str:
    named = ", ".join(parts[:_NAMED])
    more = f" and {len(parts) - _NAMED} more" if len(parts) > _NAMED else ""
    verb = "is" if len(parts) == 1 else "are"
    return f"{len(parts)} {verb} made in the release's directory: {named}{more}"


def _add(tree: Tree, graph: Graph, plan: Plan, part: str, shown: set[str]) -> None:
    line, node = plan.line(part), graph.node(part)
    if line is None or node is None:
        return
    if part in shown:
        tree.add(Text.assemble(part, ("  see above", "dim")))
        return
    shown.add(part)
    branch = tree.add(part_label(line))
    for name in node.needs:
        _add(branch, graph, plan, name, shown)


def _add_cause(tree: Tree, cause: Cause) -> None:
    label = Text(cause.difference.sentence)
    if cause.origin is not None:
        label.append(f"  {short_place(cause.origin)}", style="dim")
    branch = tree.add(label)
    for inner in cause.causes:
        _add_cause(branch, inner)


def short_place(origin: Origin) -> str:
    """``component/zlib/buildout.cfg:11``: relative to where the person stands, when that is shorter."""
    if not os.path.isabs(origin.file):
        return str(origin)
    relative = os.path.relpath(origin.file)
    return f"{relative if len(relative) < len(origin.file) else origin.file}:{origin.line}"
