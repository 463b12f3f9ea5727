"""How fast a node processes partitions: ours beside the real slapgrid, the same release, orders and machine.

    python benchmarks/node.py [--partitions 1,10,50,200] [--orders 20] [--idle 60] [--json FILE]

For each number of partitions, one node after the other: all are processed for the first time, again with another
parameter, and once more with nothing to do; then some more are ordered one by one.  After each round the files and the
process of every partition are looked at: both did the same work.  Ours also answers for a minute without any wish.
Beside the figures stands what the machine needs for the least of that work: fork and exec, and fsync.  slapgrid needs
``make peers``; without it only ours is measured.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from node_figures import show
from nodes import OURS, Latency, Ours, Spent, Subject, ours, peer, pid_file
from order import machine, percentile, tell
from rich.console import Console
from servers import cost_of

from slapos.testing.peers import missing
from slapos.testing.waiting import wait_for

MOST = 240  # partitions of a peer: its addresses are 127.0.0.<10 + i>
PEER_ORDERS = 5
LIMIT_ROUNDS = 200
WARM_MEBIBYTES = 70  # resident
SAME_SECONDS = 10.0


@dataclass(frozen=True)
class Row:
    """One phase on one node.  Seconds; ``cpu`` of all processes of the node, ``master`` of its master."""

    node: str
    partitions: int
    phase: str
    seconds: float
    cpu: float
    master: float


@dataclass(frozen=True)
class Orders:
    """Orders one by one on a node that has so many partitions already; seconds."""

    node: str
    partitions: int
    started: list[float]
    green: list[float]

    def as_data(self) -> dict[str, Any]:
        """With median and 95th percentile of each."""
        found = {
            name: {"median": statistics.median(values), "p95": percentile(values, 0.95)}
            for name, values in (("started", self.started), ("green", self.green))
        }
        return {**asdict(self), "figures": found}


@dataclass(frozen=True)
class Idle:
    """CPU seconds of our node in ``seconds`` without a wish, and how many times promises were asked meanwhile."""

    partitions: int
    seconds: float
    cpu: float
    promises: int


@dataclass(frozen=True)
class Plan:
    """What one run measures."""

    partitions: tuple[int, ...]
    orders: int
    idle: float


def check_same(subject: Subject, word: str, amount: int) -> None:
    """Every partition holds the word that was ordered, and its service runs; :class:`AssertionError` when not."""

    def wrong() -> list[str]:
        return [path for path in subject.partitions() if not _is_served(path, word)]

    assert len(subject.partitions()) == amount, f"{subject.name}: {len(subject.partitions())} of {amount} partitions"
    wait_for(wrong, SAME_SECONDS, f"{subject.name}: all hold {word!r} and run", until=lambda left: not left)


def _is_served(partition: str, word: str) -> bool:
    try:
        pid = int(Path(pid_file(partition)).read_text())
        os.kill(pid, 0)
        return Path(partition, "srv", "word").read_text().strip() == word
    except (OSError, ValueError):
        return False


def rounds(subject: Subject, amount: int) -> Iterator[Row]:
    """All phases that concern all partitions."""
    titles = [f"bench {number}" for number in range(amount)]
    for phase, word in (("first time", "one"), ("changed", "two")):
        subject.order(titles, word)
        yield row_of(subject, amount, phase, subject.process())
        check_same(subject, word, amount)
    yield row_of(subject, amount, "nothing to do", subject.nothing())


def row_of(subject: Subject, amount: int, phase: str, spent: Spent) -> Row:
    """The figures of one round."""
    return Row(subject.name, amount, phase, spent.seconds, spent.cpu, spent.master)


def orders(subject: Subject, amount: int, count: int) -> Orders:
    """Orders one by one; the first, which warms caches, is not counted."""
    found: list[Latency] = [subject.latency(f"more {number}") for number in range(count + 1)][1:]
    return Orders(subject.name, amount, [item.started for item in found], [item.green for item in found])


def idle(subject: Ours, amount: int, seconds: float) -> Iterator[Idle]:
    """The node left alone, unless for 0 seconds."""
    if seconds:
        cpu, promises = subject.idle(seconds)
        yield Idle(amount, seconds, cpu, promises)


def limits() -> dict[str, float]:
    """What the machine needs for the least of the work: milliseconds of wall time, and of CPU, for each."""
    found: dict[str, float] = {}
    for name, act in (("fork and exec", _spawn), (f"fork of {WARM_MEBIBYTES} MiB", _Forked()), ("fsync", _Synced())):
        before, begin = _own_cpu(), time.monotonic()
        for _ in range(LIMIT_ROUNDS):
            act()
        found[name] = (time.monotonic() - begin) / LIMIT_ROUNDS * 1000
        found[f"{name}, CPU"] = (_own_cpu() - before) / LIMIT_ROUNDS * 1000
    return found


def _spawn() -> None:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


class _Forked:
    """A process as large as the warm server, which is forked twice for each run of buildout."""

    def __init__(self) -> None:
        self.ballast = b"x" * (WARM_MEBIBYTES * 2**20 - cost_of(os.getpid()).memory)

    def __call__(self) -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)


class _Synced:
    """A page written and synced, as a record is."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the object

    def __call__(self) -> None:
        os.pwrite(self.file.fileno(), b"x" * 4096, 0)
        os.fsync(self.file.fileno())


def _own_cpu() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure_all(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Everything, one node after the other."""
    opened: list[Callable[[int], AbstractContextManager[Subject]]] = [ours] if missing() else [peer, ours]
    found: dict[str, Any] = {"rows": [], "orders": [], "idle": [], "memory": [], "calls": [], "limits": [limits()]}
    for amount in plan.partitions:
        for opener in opened:
            count = plan.orders if opener is ours else min(plan.orders, PEER_ORDERS)
            with opener(amount + count + 2) as subject:
                for row in rounds(subject, amount):
                    say(f"{row.node}, {amount} partitions, {row.phase}: {row.seconds:.2f} s, CPU {row.cpu:.2f} s")
                    found["rows"].append(asdict(row))
                found["memory"].append({"node": subject.name, "partitions": amount, "mebibytes": subject.memory()})
                if isinstance(subject, Ours):
                    found["idle"] += [asdict(item) for item in idle(subject, amount, plan.idle)]
                if count:
                    found["orders"].append(orders(subject, amount, count).as_data())
                if isinstance(subject, Ours) and count:
                    found["calls"].append({"partitions": amount, "calls": subject.calls("traced")})
    found["limits"].append(limits())
    return found


def plan_of(options: argparse.Namespace) -> Plan:
    """:class:`SystemExit` when the peer cannot have so many partitions."""
    numbers = tuple(int(text) for text in options.partitions.split(","))
    if max(numbers) + options.orders >= MOST or min(numbers) < 1:
        raise SystemExit(
            f"--partitions and --orders: from 1 to {MOST} partitions altogether, because of the addresses."
        )
    return Plan(numbers, options.orders, options.idle)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--partitions", default="1,10,50,200", help="numbers, with commas between them")
    parser.add_argument("--orders", type=int, default=20, help="orders one by one; slapgrid gets five at most")
    parser.add_argument("--idle", type=float, default=60.0, help="seconds in which our node is left alone")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE ('-': to the standard output)")
    options = parser.parse_args(arguments)
    plan, before = plan_of(options), machine()
    found = {
        "machine": before,
        "peer": missing() or "",
        "ours": OURS,
        **measure_all(plan, Console(stderr=True).print),
        "load_after": os.getloadavg(),
    }
    tell(found, show, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
