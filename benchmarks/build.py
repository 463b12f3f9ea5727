"""How fast parts are built: beside the same by hand, beside upstream's buildout, side by side, planned.

    python benchmarks/build.py [--only cold,beside,plan,cached] [--parts zlib,popt] [--rounds 1] [--json FILE]

Every figure stands beside a peer measured in the same run on the same machine.  ``cold`` compiles the website from
tarballs that were fetched before: a shell script with ``make -j`` in the order of dependencies; ours, sandbox, store
and all; and upstream's zc.buildout with slapos.recipe.cmmi (``benchmarks/profiles``).  ``beside`` builds four parts
that need a processor each, on one slot and on two.  ``plan`` asks what is to do for 100 parts that are there.
``cached`` takes all parts from a binary cache; a plain copy of the same files shows what of that is the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import build_cases
from builders import Bench
from order import machine
from rich.console import Console
from rich.table import Table

from slapos.system.removal import remove_tree

CASES = ("cold", "beside", "plan", "cached")
BURN_ROUNDS = 150_000_000  # of awk: some seconds


def show(found: dict[str, Any]) -> None:
    """For people."""
    console = Console(width=max(100, Console().width))
    for name, render in (("cold", _cold), ("beside", _beside), ("plan", _plan), ("cached", _cached)):
        if name in found:
            render(console, found[name])
    facts = found["machine"]
    load = ", ".join(f"{value:.1f}" for value in facts["load"])
    console.print(
        f"{facts['processors']} × {facts['model']}, Linux {facts['kernel']}, Python {facts['python']}, load {load}"
    )


def _table(console: Console, title: str, rows: list[tuple[str, dict[str, float]]], first: dict[str, float]) -> None:
    table = Table(title=title, title_justify="left")
    for heading in ("", "seconds", "least", "most", "CPU seconds", "of the first"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, row in rows:
        figures = [f"{row[key]:.2f}" for key in ("wall", "least", "most", "cpu")]
        table.add_row(name, *figures, f"{row['wall'] / first['wall']:.2f}")
    console.print(table)


def _cold(console: Console, row: dict[str, Any]) -> None:
    rows = [(name, row[name]) for name in ("by hand", "ours", "upstream")]
    _table(console, f"Cold build of {', '.join(row['parts'])}", rows, row["by hand"])
    over = row["ours"]["wall"] / row["by hand"]["wall"] - 1
    console.print(
        f"Ours takes {over:+.1%} of the time by hand; it is {row['upstream']['wall'] / row['ours']['wall']:.2f} times"
        f" as fast as upstream's.  CPU: {row['ours']['cpu'] / row['by hand']['cpu'] - 1:+.1%}."
    )


def _beside(console: Console, row: dict[str, Any]) -> None:
    rows = [("one slot", row["one"]), ("two slots", row["two"])]
    _table(console, "Four parts that compute, with ours", rows, row["one"])
    console.print(f"Side by side is {row['one']['wall'] / row['two']['wall']:.2f} times as fast.")


def _plan(console: Console, row: dict[str, Any]) -> None:
    rows = [
        ("upstream's buildout, nothing to do", row["upstream"]),
        ("slapos build --plan", row["plan"]),
        ("slapos build, nothing to do", row["again"]),
    ]
    _table(console, "A release of 100 parts that are there", rows, row["upstream"])
    console.print(f"{row['summary']}  Built in {row['build']['wall']:.1f} s; upstream's: ", end="")
    console.print(f"{row['upstream build']['wall']:.1f} s.")


def _cached(console: Console, row: dict[str, Any]) -> None:
    rows = [
        ("cp -a of the store, and sync", row["copy"]),
        ("from the cache, to the same place", row["cache"]),
        ("from the cache, to another place", row["moved"]),
    ]
    title = f"The website from a binary cache on this disk: {row['files']} files, {row['bytes'] / 1e6:.0f} MB"
    _table(console, title, rows, row["copy"])


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures; times in seconds."""
    keep = Path(os.path.expanduser(options.keep))
    keep.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"machine": machine(), "rounds": options.rounds}
    top = Path(tempfile.mkdtemp(prefix="hoxb", dir=options.directory))
    try:
        bench = Bench(top, keep)
        if "cold" in options.only:
            found["cold"] = build_cases.cold(bench, options.parts, options.rounds)
        if "beside" in options.only:
            found["beside"] = build_cases.beside(bench, options.rounds, BURN_ROUNDS)
        if "plan" in options.only:
            found["plan"] = build_cases.plan(bench)
        if "cached" in options.only:
            found["cached"] = build_cases.cached(bench, options.parts)
    finally:
        if not options.leave:
            remove_tree(str(top))
    found["load afterwards"] = os.getloadavg()
    return found


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", type=_words, default=list(CASES), help=f"of {','.join(CASES)}")
    parser.add_argument("--parts", type=_words, default=[], help="of the website, for a first look")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--directory", default=None, help="where to build; on the disk that is to be measured")
    parser.add_argument("--keep", default="~/.cache/hyperopenx-benchmarks", help="sources, and upstream's program")
    parser.add_argument("--leave", action="store_true", help="do not remove what was built")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE too")
    options = parser.parse_args()
    found = measure(options)
    show(found)
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
