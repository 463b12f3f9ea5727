"""How many requests a master serves, and whether it keeps what it acknowledged: ours beside the real slapproxy.

    python benchmarks/master.py [--quick] [--partitions 1,1000,5000] [--orders 500] [--json FILE]

Both are set up by the same calls of the field's XML dialect on plain HTTP, with the same partitions, and get the same
bytes from a load generator in a process of its own, one server after the other, in one run on one machine.  Every
order that was acknowledged is looked up afterwards: its partition must hold it, and no other order.  ``--quick`` takes
a minute and is for a first look only.  slapproxy needs ``make peers``; without it only ours is measured.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from figures import show
from order import machine, tell
from rich.console import Console
from servers import Check, Measured, Target, Tls, check, measure, percentile

from slapos.testing.master import MasterServer
from slapos.testing.peers import SlapProxy, missing

OURS, PEER, TLS, CLOSING = "ours", "slapproxy", "ours, TLS", "ours, reconnecting"
FEW, MANY = 1, 8  # clients
CROWD = 64
TIMES = 500  # that the only order of one partition is repeated
NODE_READS = 5  # at least, and two of each client


@dataclass(frozen=True)
class Row:
    """One phase on one server.  Times in seconds, of the server per request; ``memory`` in bytes, after it."""

    server: str
    partitions: int
    phase: str
    clients: int
    requests: int
    rate: float
    p50: float
    p99: float
    cpu: float
    memory: int
    refused: int  # answers other than 200
    size: int  # bytes of the last answer, where answers were kept
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0


@dataclass(frozen=True)
class Plan:
    """What one run measures."""

    partitions: tuple[int, ...]
    orders: int
    crowd: int


def row_of(target: Target, partitions: int, phase: str, found: Measured) -> Row:
    """The figures of one run of the load generator."""
    return Row(
        server=target.name,
        partitions=partitions,
        phase=phase,
        clients=found.clients,
        requests=len(found.statuses),
        rate=found.rate,
        p50=percentile(found.latencies, 0.5),
        p99=percentile(found.latencies, 0.99),
        cpu=found.cpu / len(found.statuses),
        memory=found.memory,
        refused=sum(status != 200 for status in found.statuses),
        size=len(found.bodies[-1]),
    )


def with_check(row: Row, found: Check) -> Row:
    """The same, with what became of the orders."""
    return replace(row, acknowledged=found.acknowledged, lost=found.lost, doubled=found.doubled)


def phases(target: Target, partitions: int, orders: int) -> Iterator[Row]:
    """All phases on a server that has so many free partitions."""
    orders = min(orders, max(1, partitions // 2))
    target.prepare(partitions)
    fill = partitions - 2 * orders
    if fill > 0:
        measure(target, [target.order(f"before {number}") for number in range(fill)], FEW)
    groups = {FEW: titles("one", orders), MANY: titles("eight", orders if partitions > 1 else 0)}
    acknowledged: list[tuple[Row, Sequence[str], Measured]] = []
    for clients, names in groups.items():
        if names:
            found = measure(target, [target.order(name) for name in names], clients, keep=True)
            acknowledged.append((row_of(target, partitions, "new request", found), names, found))
    for row, names, found in acknowledged:
        yield with_check(row, check(target, names, found))
    for clients in (FEW, MANY):
        names = (groups[clients] or groups[FEW]) * (1 if partitions > 1 else TIMES)
        node_reads = max(NODE_READS, 2 * clients, len(names) // partitions)
        for phase, requests in (
            ("repeated request", [target.order(name) for name in names]),
            ("partition information", [target.partition_information(n % partitions) for n in range(len(names))]),
            ("full computer information", [target.node_information()] * node_reads),
        ):
            found = measure(target, requests, clients, keep=phase.startswith("full"))
            yield row_of(target, partitions, phase, found)


def titles(word: str, amount: int) -> list[str]:
    """Of so many orders."""
    return [f"{word} {number}" for number in range(amount)]


@contextmanager
def ours(*, tls: bool = False, closing: bool = False) -> Iterator[Target]:
    """Our master, new, with the legacy listener; SQLite, every commit synced."""
    with tempfile.TemporaryDirectory(prefix="hoxb") as directory:
        release = Path(directory, "release", "software.cfg")
        release.parent.mkdir()
        release.write_text("[buildout]\nparts =\n")
        with MasterServer(directory, release_roots=(str(release.parent),), legacy=True) as master:
            assert master.process is not None and master.files is not None
            plain = Target(OURS, master.legacy_url, master.process.pid, str(release))
            proven = Tls(master.ca_file, master.files.certificate_path, master.files.key_path)
            if tls:
                yield replace(plain, name=TLS, url=master.url, tls=proven, plain_url=plain.url)
            else:
                yield replace(plain, name=CLOSING, closing=True) if closing else plain


@contextmanager
def peer() -> Iterator[Target]:
    """The real slapproxy, new."""
    with SlapProxy() as proxy:
        yield Target(PEER, proxy.url, proxy.pid, "/nowhere/software.cfg")


def measure_all(plan: Plan, say: Callable[[str], None]) -> list[Row]:
    """Everything, one server after the other."""
    rows: list[Row] = []
    servers = [ours] if missing() else [peer, ours]
    for partitions in plan.partitions:
        for server in servers:
            with server() as target:
                say(f"{target.name}, {partitions} partitions")
                rows += phases(target, partitions, plan.orders)
    for variant in ({"tls": True}, {"closing": True}):
        with ours(**variant) as target:
            say(target.name)
            rows += [row for row in phases(target, 2 * plan.orders, plan.orders) if "full" not in row.phase]
    with ours() as target:
        say(f"{plan.crowd} orders of {CROWD} clients")
        target.prepare(plan.crowd)
        names = titles("crowd", plan.crowd)
        found = measure(target, [target.order(name) for name in names], CROWD, keep=True)
        rows.append(with_check(row_of(target, plan.crowd, "new request", found), check(target, names, found)))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--partitions", default="1,1000,5000", help="numbers, with commas between them")
    parser.add_argument("--orders", type=int, default=500, help="requests of each phase")
    parser.add_argument("--crowd", type=int, default=10_000, help=f"orders of {CROWD} clients at once")
    parser.add_argument("--quick", action="store_true", help="1 and 200 partitions, 100 orders, a crowd of 1,000")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE ('-': to the standard output)")
    options = parser.parse_args()
    plan = Plan(tuple(int(text) for text in options.partitions.split(",")), options.orders, options.crowd)
    if options.quick:
        plan = Plan((1, 200), 100, 1_000)
    before = machine()
    rows = measure_all(plan, Console(stderr=True).print)
    found: dict[str, Any] = {
        "machine": before,
        "load_after": os.getloadavg(),
        "peer": missing() or "",
        "rows": [asdict(row) for row in rows],
    }
    tell(found, show, options.json)
    return int(any(row["lost"] or row["doubled"] for row in found["rows"] if row["server"] != PEER))


if __name__ == "__main__":
    sys.exit(main())
