"""What ``benchmarks/node.py`` found, as tables for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

OURS, PEER = "ours", "slapgrid"
WIDTH = 120  # of a table, also where the terminal is not known


def show(found: dict[str, Any]) -> None:
    """All tables."""
    console = Console(width=max(WIDTH, Console().width))
    console.print(_rounds(found["rows"]))
    if found["orders"]:
        console.print(_orders(found["orders"]))
    for item in found["idle"]:
        minute = 60.0 / item["seconds"]
        text = f"{1000 * item['cpu'] * minute:.0f} ms of CPU a minute; promises were asked {item['promises']} times"
        console.print(f"Ours, {item['partitions']} partitions, left alone for {item['seconds']:.0f} s: {text}.")
    for item in found["memory"]:
        sizes = ", ".join(f"{name} {size:.0f} MiB" for name, size in item["mebibytes"].items())
        console.print(f"Resident, {item['node']}, {item['partitions']} partitions: {sizes}.")
    for item in found["calls"]:
        text = ", ".join(f"{count} {what}" for what, count in item["calls"].items())
        console.print(f"Ours, one order with {item['partitions']} partitions: {text or 'strace is not there'}.")
    for when, figures in zip(("before", "after"), found["limits"], strict=True):
        text = ", ".join(f"{name} {value:.2f} ms" for name, value in figures.items())
        console.print(f"The machine alone, {when}: {text}.")
    if found["peer"]:
        console.print(f"slapgrid was not measured: {found['peer']}.")
    facts = found["machine"]
    load = ", ".join(f"{value:.1f}" for value in (*facts["load"], *found["load_after"]))
    console.print(
        f"{facts['processors']} × {facts['model']}, Linux {facts['kernel']}, Python {facts['python']}, "
        f"load before and after {load}"
    )


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 1 else "right", no_wrap=True)
    return table


def _rounds(rows: list[dict[str, Any]]) -> Table:
    table = _table(
        "All partitions; seconds, and CPU seconds of the node with all that it starts",
        "partitions",
        "phase",
        PEER,
        OURS,
        "times faster",
        f"CPU {PEER}",
        f"CPU {OURS}",
        "times less",
    )
    for mine in (row for row in rows if row["node"] == OURS):
        same = ("partitions", "phase")
        other = next((row for row in rows if row["node"] == PEER and all(row[k] == mine[k] for k in same)), None)
        table.add_row(
            str(mine["partitions"]), mine["phase"], *_pair(other, mine, "seconds"), *_pair(other, mine, "cpu")
        )
    return table


def _pair(other: dict[str, Any] | None, mine: dict[str, Any], name: str) -> list[str]:
    if other is None:
        return ["", f"{mine[name]:.2f}", ""]
    ratio = f"{other[name] / mine[name]:.1f}" if mine[name] else ""
    return [f"{other[name]:.2f}", f"{mine[name]:.2f}", ratio]


def _orders(rows: list[dict[str, Any]]) -> Table:
    table = _table(
        "One order at a time, release built; seconds since the request",
        "partitions",
        "node",
        "orders",
        "started, median",
        "p95",
        "promise kept, median",
        "p95",
    )
    for row in rows:
        figures = [f"{row['figures'][name][key]:.2f}" for name in ("started", "green") for key in ("median", "p95")]
        table.add_row(str(row["partitions"]), row["node"], str(len(row["green"])), *figures)
    return table
