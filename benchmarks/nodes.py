"""The two nodes that ``benchmarks/node.py`` compares: each with its own master, with the same release and orders."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from servers import NODE, Cost, Target, cost_of

from slapos.model.objects import InstanceRequest
from slapos.node.plan import Kind
from slapos.node.supervisor.events import ask_to_look
from slapos.node.wiring import open_supervisor
from slapos.slap.field_client import FieldClient
from slapos.system.processes import start
from slapos.system.proctable import descendants, process_table
from slapos.testing.cloud import Cloud
from slapos.testing.daemonlog import DaemonLog, Line
from slapos.testing.peers import RealNode, SlapProxy, checked
from slapos.testing.waiting import wait_for
from slapos.wire import marshal

OURS, PEER = "ours", "slapgrid"
RELEASE = Path(__file__).with_name("profiles") / "trivial.cfg"
PARTITION_SECONDS = 15.0  # the longest that one partition may take, on a busy machine
START_SECONDS = 60.0
SETTLE_SECONDS = 1.5  # what a node still does after it said that it is done
GREEN = "serving, 1 promise ok"
_LOOK_SECONDS = 0.02
_MEBI = 2**20
_CALLS = {
    "clone": "forks",
    "clone3": "forks",
    "fork": "forks",
    "vfork": "forks",
    "execve": "programs executed",
    "fsync": "waits for the disk",
    "fdatasync": "waits for the disk",
}


@dataclass(frozen=True)
class Spent:
    """One round.  ``cpu`` of the node in seconds, all its processes but the services; ``master``: of the master."""

    seconds: float
    cpu: float
    master: float


@dataclass(frozen=True)
class Latency:
    """Of one order, seconds since the request was sent: its service was started, its promise was kept."""

    started: float
    green: float


class Subject(Protocol):
    """A node with its master, the release built."""

    name: str

    def order(self, titles: Sequence[str], word: str) -> None:
        """New orders, or others with this word; the node does not begin."""

    def process(self) -> Spent:
        """The node does all that it is asked to, from the first moment to the last promise."""

    def nothing(self) -> Spent:
        """The node looks at all partitions, none of which changed."""

    def latency(self, title: str) -> Latency:
        """One more order."""

    def partitions(self) -> list[str]:
        """Directories of those that are used."""

    def memory(self) -> dict[str, float]:
        """MiB resident of each process that stays."""


@dataclass
class Ours:
    """Our daemon, which stands still (SIGSTOP) while orders come in."""

    cloud: Cloud
    name: str = OURS
    waited: set[str] = field(default_factory=set)

    @property
    def log(self) -> DaemonLog:
        return DaemonLog(os.path.join(self.cloud.node.directory, "slapgrid.log"))

    @property
    def daemon(self) -> int:
        assert self.cloud.node.process is not None
        return self.cloud.node.process.pid

    def order(self, titles: Sequence[str], word: str) -> None:
        os.kill(self.daemon, signal.SIGSTOP)
        self.waited = {self._ask(title, word) for title in titles}

    def process(self) -> Spent:
        return self._round(lambda: os.kill(self.daemon, signal.SIGCONT), self.waited)

    def nothing(self) -> Spent:
        path = open_supervisor(self.cloud.node.config).event_socket
        return self._round(lambda: ask_to_look(path), {os.path.basename(path) for path in self.partitions()})

    def latency(self, title: str) -> Latency:
        mark, wall = self.log.end(), time.time()
        partition = self._ask(title, title)
        lines = self._await_green({partition}, mark)
        mine = [line for line in lines if line.subject == partition]
        started = next(line.at for line in mine if line.kind is Kind.PROMISES)
        return Latency(started - wall, mine[-1].at - wall)

    def partitions(self) -> list[str]:
        config = self.cloud.node.config
        return [config.partition_directory(item.partition) for item in self.cloud.client.roots()]

    def memory(self) -> dict[str, float]:
        return {name: cost_of(pid).memory / _MEBI for name, pid in self._pids().items()}

    def _ask(self, title: str, word: str) -> str:
        """The partition of the order."""
        return self.cloud.client.request(
            InstanceRequest(title, self.cloud.release, "default", {"word": word}, {}, None)
        ).partition

    def idle(self, seconds: float) -> tuple[float, int]:
        """CPU seconds of the node while nobody wants anything, and how often promises were asked meanwhile."""
        mark, before = self.log.end(), self._cpu()
        time.sleep(seconds)
        spent = self._cpu() - before
        return spent, sum(line.kind is Kind.PROMISES for line in self.log.lines(mark))

    def calls(self, title: str) -> dict[str, int]:
        """How often one more order makes the node fork, execute a program, and wait for the disk (with strace)."""
        if shutil.which("strace") is None:
            return {}
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "calls")
            attached = [word for pid in self._pids().values() for word in ("-p", str(pid))]
            tracer = start(["strace", "-f", "-qq", "-e", f"trace={','.join(_CALLS)}", "-o", path, *attached])
            time.sleep(SETTLE_SECONDS)
            try:
                self.latency(title)
            finally:
                tracer.popen.terminate()
                tracer.popen.wait()
            lines = [line for line in Path(path).read_text().splitlines() if "CLONE_THREAD" not in line]
        found: dict[str, int] = {}
        for line in lines:
            for call, what in _CALLS.items():
                if f" {call}(" in line:
                    found[what] = found.get(what, 0) + 1
        return found

    def _round(self, begin: Callable[[], object], partitions: set[str]) -> Spent:
        before, master, mark, wall = self._cpu(), self._master().cpu, self.log.end(), time.time()
        begin()
        end = self._await_green(partitions, mark)[-1].at
        time.sleep(SETTLE_SECONDS)
        return Spent(end - wall, self._cpu() - before, self._master().cpu - master)

    def _await_green(self, partitions: set[str], mark: int) -> list[Line]:
        """All lines until the last of these partitions is green."""

        def look() -> list[Line]:
            lines = self.log.lines(mark)
            return lines if partitions <= {line.subject for line in lines if line.text == GREEN} else []

        return wait_for(look, _limit(len(partitions)), f"{len(partitions)} partitions are green", step=_LOOK_SECONDS)

    def _pids(self) -> dict[str, int]:
        warm = [item.pid for item in descendants(process_table(), self.daemon) if _is_warm_server(item.pid)]
        supervisor = open_supervisor(self.cloud.node.config).pid()
        return {"daemon": self.daemon, "supervisor": supervisor, **({"warm server": min(warm)} if warm else {})}

    def _cpu(self) -> float:
        return sum(cost_of(pid).cpu for pid in self._pids().values())

    def _master(self) -> Cost:
        assert self.cloud.master.process is not None
        return cost_of(self.cloud.master.process.pid)


@dataclass
class Peer:
    """The real slapgrid, started for each round as cron does, with slapproxy."""

    proxy: SlapProxy
    node: RealNode
    target: Target
    amount: int
    name: str = PEER

    def order(self, titles: Sequence[str], word: str) -> None:
        client = FieldClient(master_url=self.proxy.url)
        for title in titles:
            client.post("requestComputerPartition", self._fields(title, word))
        client.close()

    def _fields(self, title: str, word: str) -> dict[str, str]:
        return {
            "software_release": self.target.release,
            "software_type": "default",
            "partition_reference": title,
            "shared_xml": _text(False),
            "partition_parameter_xml": _text({"word": word}),
            "filter_xml": _text({}),
            "state": _text("started"),
        }

    def process(self) -> Spent:
        before, master, begin = self._cpu(), cost_of(self.proxy.pid).cpu, time.monotonic()
        checked(self.node("instance", timeout=_limit(self.amount)))
        seconds = time.monotonic() - begin
        return Spent(seconds, self._cpu() - before, cost_of(self.proxy.pid).cpu - master)

    def nothing(self) -> Spent:
        return self.process()

    def latency(self, title: str) -> Latency:
        begin, before = time.time(), set(self.partitions())
        self.order([title], title)
        self.process()
        green = time.time() - begin
        (new,) = set(self.partitions()) - before
        return Latency(os.stat(pid_file(new)).st_mtime - begin, green)

    def partitions(self) -> list[str]:
        found = (self.node.partition(number) for number in range(self.amount))
        return [path for path in found if os.path.exists(os.path.join(path, "srv", "word"))]

    def memory(self) -> dict[str, float]:
        pid = self._supervisor()
        return {"supervisor": cost_of(pid).memory / _MEBI} if pid else {}

    def _supervisor(self) -> int:
        """The oldest process that runs there but in no service: slapgrid itself runs only in a round."""
        found = [item.pid for item in self.node.machine.processes() if item.ppid == 1 and item.name != "sleep"]
        return min(found, default=0)

    def _cpu(self) -> float:
        usage, supervisor = resource.getrusage(resource.RUSAGE_CHILDREN), self._supervisor()
        return usage.ru_utime + usage.ru_stime + (cost_of(supervisor).cpu if supervisor else 0.0)


def _text(value: object) -> str:
    return marshal.dumps(value).decode()


def _limit(partitions: int) -> float:
    return START_SECONDS + PARTITION_SECONDS * partitions


def _is_warm_server(pid: int) -> bool:
    try:
        return b"slapos.build.warm_server" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def pid_file(partition: str) -> str:
    """Where the service of the release says who it is."""
    return os.path.join(partition, "var", "run", "sleeper.pid")


@contextlib.contextmanager
def _release() -> Iterator[tuple[str, str]]:
    """A directory that everybody can pass, and the profile of the release in it."""
    directory = tempfile.mkdtemp(prefix="hoxb")
    try:
        os.chmod(directory, 0o755)
        folder = os.path.join(directory, "release")
        os.mkdir(folder, 0o755)
        profile = os.path.join(folder, "software.cfg")
        shutil.copyfile(RELEASE, profile)
        os.chmod(profile, 0o644)
        yield directory, profile
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def ours(partitions: int) -> Iterator[Ours]:
    """Our master and our node."""
    with _release() as (directory, release), Cloud(directory, release=release, partition_amount=partitions) as cloud:
        yield Ours(cloud)


@contextlib.contextmanager
def peer(partitions: int) -> Iterator[Peer]:
    """slapproxy and slapos.core's node."""
    with (
        _release() as (_, release),
        SlapProxy() as proxy,
        RealNode(proxy.url, partitions=partitions, shared=(os.path.dirname(release),)) as node,
    ):
        checked(node.format())
        target = Target(PEER, proxy.url, proxy.pid, release)
        target.client.post("supplySupply", {"url": release, "computer_id": NODE, "state": "available"})
        checked(node("software"))
        yield Peer(proxy, node, target, partitions)
