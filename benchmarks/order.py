"""How long an order takes: from the request to the page that is served, the release already built.

    python benchmarks/order.py [--orders 20] [--json FILE] [--syncs]

A real master and a real node on this machine, the release ``website``.  Each order is timed by its stages, which the
daemon's log, the events of the master and a client that asks for the page tell.  Beside the absolute figures stands
their ratio to a yardstick measured in the same run: one start of plain ``buildout`` with nothing to do.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import platform
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from slapos.model.objects import Instance
from slapos.model.states import Health
from slapos.node.plan import Kind
from slapos.system.processes import Launch, run, start
from slapos.system.proctable import descendants, process_table
from slapos.testing.builds import keep_build
from slapos.testing.cloud import Cloud
from slapos.testing.daemonlog import DaemonLog, Line

TOP = Path(__file__).resolve().parents[1]
WARM_UP = 2
ORDER_SECONDS = 60.0
LOOK_SECONDS = 0.005
YARDSTICKS = 5

STAGES = {
    "answered": "the master answered",
    "woken": "the node began",
    "buildout": "buildout began",
    "built": "buildout done",
    "started": "the service is started",
    "served": "the page is served",
    "green": "promises green",
    "known": "the master knows",
}


@dataclass
class Ordered:
    """Seconds from the request to each stage of one order."""

    title: str
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """A cloud and the log of its daemon."""

    cloud: Cloud
    log: DaemonLog

    def order(self, title: str) -> Ordered:
        """One order, until the master knows that it is served."""
        mark, wall, begin = self.log.end(), time.time(), time.monotonic()
        instance = self.cloud.ask(title, {"title": title})
        found = Ordered(title, {"answered": time.monotonic() - begin})
        known = self._await_known(instance, found, begin)
        found.seconds |= _stages([line for line in self.log.lines(mark) if line.subject == known.partition], wall)
        return found

    def _await_known(self, instance: Instance, found: Ordered, begin: float) -> Instance:
        """The page is asked for, beside, as soon as its address is published."""
        stop, fetcher = threading.Event(), None
        for _ in self.cloud.client.events(instance.guid, 0, stop):
            instance = self.cloud.client.instance(instance.guid)
            if fetcher is None and "_" in instance.connection:
                fetcher = threading.Thread(target=self._await_page, args=(instance, found, begin))
                fetcher.start()
            if instance.health is Health.OK:
                found.seconds["known"] = time.monotonic() - begin
                break
            if time.monotonic() > begin + ORDER_SECONDS:
                raise TimeoutError(f"{instance.title}: {instance.health}, {instance.sentence}")
        stop.set()
        assert fetcher is not None
        fetcher.join()
        return instance

    def _await_page(self, instance: Instance, found: Ordered, begin: float) -> None:
        parts = urlsplit(json.loads(instance.connection["_"])["url"])
        context = ssl.create_default_context(cafile=self.cloud.master.ca_file)
        while time.monotonic() < begin + ORDER_SECONDS:
            connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=context, timeout=5)
            try:
                connection.request("GET", "/")
                if f"<h1>{instance.title}</h1>" in connection.getresponse().read().decode():
                    found.seconds["served"] = time.monotonic() - begin
                    return
            except OSError:
                pass
            finally:
                connection.close()
            time.sleep(LOOK_SECONDS)


def _stages(lines: Sequence[Line], wall: float) -> dict[str, float]:
    """What the log of the daemon tells; an action ends where the next line begins."""
    found: dict[str, float] = {}
    ends = {Kind.RUN: "built", Kind.ADD: "started", Kind.PROMISES: "green"}
    for line, after in zip(lines, (*lines[1:], None), strict=True):
        found.setdefault("woken", line.at - wall)
        if line.kind is Kind.RUN:
            found.setdefault("buildout", line.at - wall)
        if line.kind in ends and after is not None:
            found[ends[line.kind]] = after.at - wall
    return found


def yardstick() -> float:
    """Median seconds of plain buildout with an empty list of parts, from its start to its end."""
    program = "import sys; from zc.buildout.buildout import main; main(sys.argv[1:])"
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "buildout.cfg").write_text("[buildout]\nparts =\n")
        launch = Launch(directory=directory, environment={"PATH": "/usr/bin:/bin", "HOME": directory})
        command = [sys.executable, "-c", program, "-o", "-q"]
        return statistics.median(run(command, launch=launch, timeout=60).seconds for _ in range(YARDSTICKS))


def count_syncs(bench: Bench) -> dict[str, int] | None:
    """How often master, daemon (with the warm server) and supervisor wait for the disk in one order."""
    assert bench.cloud.master.process is not None and bench.cloud.node.process is not None
    table = process_table()
    daemon = bench.cloud.node.process.pid
    who = {
        "master": [bench.cloud.master.process.pid],
        "daemon": [daemon, *(item.pid for item in descendants(table, daemon))],
        "supervisor": [item.pid for item in table.values() if item.name == "supervisord" or _is_supervisor(item.pid)],
    }
    with tempfile.TemporaryDirectory() as directory:
        tracers = {
            name: start(
                ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", f"{directory}/{name}", *_each("-p", pids)]
            )
            for name, pids in who.items()
        }
        time.sleep(1.0)
        bench.order("traced")
        for tracer in tracers.values():
            tracer.popen.terminate()
            tracer.popen.wait()
        return {name: Path(directory, name).read_text().count("sync(") for name in who}


def _is_supervisor(pid: int) -> bool:
    try:
        return b"supervisor.supervisord" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _each(option: str, pids: Sequence[int]) -> list[str]:
    return [word for pid in pids for word in (option, str(pid))]


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        models = {line.partition(":")[2].strip() for line in stream if line.startswith("model name")}
    return {
        "processors": os.cpu_count(),
        "model": ", ".join(sorted(models)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
        "root": os.geteuid() == 0,
    }


def percentile(values: Sequence[float], part: float) -> float:
    """Of a short list: the smallest value that at least ``part`` of them do not exceed."""
    return sorted(values)[math.ceil(part * len(values)) - 1]


def measure(orders: int, *, syncs: bool) -> dict[str, Any]:
    """All figures; times in seconds."""
    with tempfile.TemporaryDirectory(prefix="hoxb") as directory:
        os.chmod(directory, 0o755)
        kept = keep_build("website", TOP)
        with Cloud(directory, kept=kept, partition_amount=orders + WARM_UP + 1) as cloud:
            bench = Bench(cloud, DaemonLog(os.path.join(cloud.node.directory, "slapgrid.log")))
            facts, plain = machine(), yardstick()
            for number in range(WARM_UP):
                bench.order(f"warm-up {number}")
            ordered = [bench.order(f"order {number}") for number in range(orders)]
            counted = count_syncs(bench) if syncs else None
    stages = {
        name: {"median": statistics.median(values), "p95": percentile(values, 0.95)}
        for name in STAGES
        if (values := [item.seconds[name] for item in ordered if name in item.seconds])
    }
    return {
        "machine": facts,
        "yardstick": plain,
        "ratio": stages["served"]["median"] / plain,
        "stages": stages,
        "orders": [asdict(item) for item in ordered],
        "syncs": counted,
    }


def show(found: dict[str, Any]) -> None:
    """For people."""
    console, facts = Console(), found["machine"]
    table = Table(title=f"{len(found['orders'])} orders of website, release built; seconds since the request")
    for heading in ("stage", "median", "p95", "median since the stage before"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    before = 0.0
    for name, values in sorted(found["stages"].items(), key=lambda item: item[1]["median"]):
        median = values["median"]
        table.add_row(STAGES[name], f"{median:.3f}", f"{values['p95']:.3f}", f"{median - before:.3f}")
        before = median
    console.print(table)
    ratio = f"{found['ratio']:.1f} times one start of plain buildout with nothing to do ({found['yardstick']:.3f} s)"
    console.print(f"An order takes {ratio}.")
    if found["syncs"] is not None:
        console.print("Waits for the disk in one order: " + ", ".join(f"{k} {v}" for k, v in found["syncs"].items()))
    load = ", ".join(f"{value:.1f}" for value in facts["load"])
    console.print(
        f"{facts['processors']} × {facts['model']}, Linux {facts['kernel']}, Python {facts['python']}, load {load}"
    )


def tell(found: dict[str, Any], show: Callable[[dict[str, Any]], None], file: str | None) -> None:
    """For people, and as JSON into ``file`` where one is named; with ``-`` as JSON alone, to the standard output."""
    if file == "-":
        json.dump(found, sys.stdout, indent=1)
        return
    show(found)
    if file:
        Path(file).write_text(json.dumps(found, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE ('-': to the standard output)")
    parser.add_argument("--syncs", action="store_true", help="count fsync with strace in one more order")
    options = parser.parse_args()
    found = measure(options.orders, syncs=options.syncs)
    tell(found, show, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
