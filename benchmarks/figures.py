"""What ``benchmarks/master.py`` found, as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

OURS, PEER = "ours", "slapproxy"
WIDTH = 120  # of a table, also where the terminal is not known
ORDER = ("new request", "repeated request", "partition information", "full computer information")


def show(found: dict[str, Any]) -> None:
    """All tables."""
    console, rows, facts = Console(width=max(WIDTH, Console().width)), found["rows"], found["machine"]
    for partitions in sorted({row["partitions"] for row in rows if row["server"] == PEER} or _counts(rows)):
        console.print(_side_by_side([row for row in rows if row["partitions"] == partitions], partitions))
    console.print(_others([row for row in rows if row["server"] not in (OURS, PEER) or row["clients"] > 8]))
    for sentence in _growth(rows):
        console.print(sentence)
    if found["peer"]:
        console.print(f"slapproxy was not measured: {found['peer']}.")
    load = ", ".join(f"{value:.1f}" for value in facts["load"])
    console.print(
        f"{facts['processors']} × {facts['model']}, Linux {facts['kernel']}, Python {facts['python']}, load {load}"
    )


def _counts(rows: Sequence[dict[str, Any]]) -> set[int]:
    return {row["partitions"] for row in rows if row["server"] == OURS and row["clients"] <= 8}


HEADINGS = ("request", "clients", "server", "per second", "p50 ms", "p99 ms", "CPU ms", "MiB", "lost")


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in ("request", "server") else "right", no_wrap=True)
    return table


def _side_by_side(rows: Sequence[dict[str, Any]], partitions: int) -> Table:
    table = _table(f"{partitions} partitions on plain HTTP; CPU of the server for each request, its memory after it")
    for phase in ORDER:
        for clients in (1, 8):
            found = {row["server"]: row for row in rows if row["phase"] == phase and row["clients"] == clients}
            for server in (PEER, OURS):
                if server in found:
                    table.add_row(*_cells(found[server]))
            if PEER in found and OURS in found:
                table.add_row(*_ratio(found[PEER], found[OURS]), style="bold", end_section=True)
    return table


def _cells(row: dict[str, Any]) -> list[str]:
    rate = f"{row['rate']:.0f}" if row["rate"] >= 10 else f"{row['rate']:.2f}"
    times = [f"{1000 * row[name]:.2f}" for name in ("p50", "p99", "cpu")]
    memory = f"{row['memory'] / 2**20:.0f}"
    return [row["phase"], str(row["clients"]), row["server"], rate, *times, memory, _kept(row)]


def _ratio(other: dict[str, Any], mine: dict[str, Any]) -> list[str]:
    """How many times better; requests per second for the rate, less for the others."""
    rate = f"× {mine['rate'] / other['rate']:.1f}"
    less = [f"÷ {other[name] / mine[name]:.1f}" if mine[name] else "" for name in ("p50", "p99", "cpu", "memory")]
    return ["", "", "", rate, *less, ""]


def _kept(row: dict[str, Any]) -> str:
    if not row["acknowledged"]:
        return f"{row['refused']} refused" if row["refused"] else ""
    return f"{row['lost']}/{row['acknowledged']}"


def _others(rows: Sequence[dict[str, Any]]) -> Table:
    table = _table("Ours alone")
    for row in rows:
        cells = _cells(row)
        cells[0] = f"{row['phase']}, {row['partitions']} partitions"
        table.add_row(*cells)
    return table


def _growth(rows: Sequence[dict[str, Any]]) -> list[str]:
    """CPU of one request of each kind, by the number of partitions."""
    found = []
    for server in (PEER, OURS):
        for phase in ORDER[:3]:
            mine = [row for row in rows if (row["server"], row["phase"], row["clients"]) == (server, phase, 8)]
            costs = ", ".join(f"{row['partitions']}: {1000 * row['cpu']:.2f} ms" for row in mine)
            if len(mine) > 1:
                found.append(f"{server}, {phase}, CPU by partitions: {costs}")
    return found
