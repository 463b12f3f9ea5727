"""One round: change what is wanted, kill somebody at a chosen moment, see that it becomes so all the same."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from slapos.model.errors import Unavailable
from slapos.model.objects import Instance
from slapos.node.plan import Kind
from slapos.node.wiring import open_supervisor
from slapos.system.proctable import Process, find_process, send_signal
from slapos.testing.waiting import wait_for
from tests.scenario.changes import CHANGES, Change, Site
from tests.scenario.processes import buildout_children, warm_server
from tests.scenario.stage import DEADLINE, Pids, Stage
from tests.scenario.writers import Writers, is_committing

TRIES = 8  # changes made until the moment is hit: an action may be over before it is seen
SEEN_SECONDS = 30.0
LOOK_SECONDS = 0.002
COMMIT_LOOKS = 2_000

SHARES = {"master": 14, "buildout": 13, "daemon": 10, "warm": 8, "supervisord": 8, "nginx": 7}
"""How many of sixty rounds kill whom."""

LONGEST = {Kind.RUN: 0.3, Kind.PROMISES: 0.3}
"""Seconds after the beginning of an action, at most, at which it is cut; the others are short."""


@dataclass
class Played:
    """What a round was; ``interrupted`` empty: it was never hit."""

    number: int
    seed: str
    target: str
    change: str = ""
    interrupted: str = ""
    seconds: float = 0.0
    tries: int = 0
    during: str = ""  # buildout, commit or neither

    def as_data(self) -> dict[str, Any]:
        return asdict(self)


def deal(rounds: int, seed: int) -> list[str]:
    """The target of each round, in the shares of :data:`SHARES`, shuffled."""
    deck: list[str] = []
    for number in range(rounds):
        # whoever is furthest behind its share is next
        deck.append(min(SHARES, key=lambda name: (deck.count(name) + 1) / SHARES[name]))
        assert number < rounds
    random.Random(seed).shuffle(deck)
    return deck


@dataclass
class Round:
    """Plays one."""

    stage: Stage
    number: int
    target: str
    seed: str
    chance: random.Random = field(init=False)
    played: Played = field(init=False)
    killed: set[str] = field(default_factory=set)  # services that were killed
    made: list[tuple[Change, set[str]]] = field(default_factory=list)  # changes, and the partitions that they touch
    gone: list[Instance] = field(default_factory=list)
    struck_at: float = 0.0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.played = Played(self.number, self.seed, self.target)

    def play(self) -> Played:
        """To its end; raises :class:`AssertionError` when something does not hold."""
        before = self.stage.pids()
        begin = time.monotonic()
        for self.played.tries in range(1, TRIES + 1):
            site, change = self._choose()
            begin = time.monotonic()
            self._try(site, change)
            if self.played.interrupted:
                break
            self._settle()
        self._settle()
        self.played.seconds = time.monotonic() - (self.struck_at or begin)
        self._check_processes(before)
        return self.played

    # what is changed

    def _choose(self) -> tuple[Site, Change]:
        """Every kind of change that fits now is as likely as the others."""
        sites = {
            change: [site for site in self.stage.sites.values() if change.fits(site)]
            for change in CHANGES
            if change.runs_buildout or self.target not in ("buildout", "warm")
        }
        change = self.chance.choice([change for change, fitting in sites.items() if fitting])
        return self.chance.choice(sites[change]), change

    def _try(self, site: Site, change: Change) -> None:
        """Make a change and strike once."""
        old = self.stage.instances(site)
        change.make(site, self.number * TRIES + self.played.tries)
        self.played.change = f"{change.name} {site.title}"
        mark = self.stage.log.end()
        if self.target == "master":
            self._strike_master(site, change, mark)
        else:
            self.stage.ask(site, change)
            self._strike(change, mark, {item.partition for item in (*old, *self.stage.instances(site))})
        self.made.append((change, {item.partition for item in (*old, *self.stage.instances(site))}))
        if change.name == "destroy":
            self.gone += old
            site.guid = ""

    # who is killed

    def _strike(self, change: Change, mark: int, partitions: set[str]) -> None:
        """At a seeded moment of a seeded action of the change."""
        kind = Kind.RUN if self.target in ("buildout", "warm") else self.chance.choice(change.actions)
        # a quick machine may be through before: sooner at each try
        wait = self.chance.uniform(0.0, LONGEST.get(kind, 0.02)) / 2 ** (self.played.tries - 1)
        if not self._await_action(kind, mark, partitions):
            return
        if self.target in ("buildout", "warm"):
            self._await_child()
        time.sleep(wait)
        victim = self._victim()
        if victim is None or not send_signal(*victim.key, signal.SIGKILL):
            return
        self.struck_at = time.monotonic()
        cut = self.stage.log.open_actions(mark)
        chosen = next((line for subject, line in cut.items() if subject in partitions), None)
        if chosen is not None:
            self.played.interrupted = f"{chosen.subject}: {chosen.text}"
            self.played.during = "buildout" if chosen.kind is Kind.RUN else ""

    def _await_action(self, kind: Kind, mark: int, partitions: set[str]) -> bool:
        """Whether the action began; False when the cycles ended without it."""
        deadline = time.monotonic() + SEEN_SECONDS
        while time.monotonic() < deadline:
            lines = [line for line in self.stage.log.lines(mark) if line.subject in partitions]
            if any(line.kind is kind for line in lines):
                return True
            if lines and lines[-1].kind is None and not self.stage.log.open_actions(mark):
                return False
            time.sleep(LOOK_SECONDS)
        return False

    def _await_child(self) -> None:
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline and not buildout_children(self.stage.daemon.pid):
            time.sleep(LOOK_SECONDS)

    def _victim(self) -> Process | None:
        return _VICTIMS[self.target](self)

    def _a_child(self) -> Process | None:
        return next(iter(buildout_children(self.stage.daemon.pid)), None)

    def _an_nginx(self) -> Process | None:
        """One that serves; it comes back as another process."""
        running = sorted(item for item in self.stage.pids().items() if item[0].endswith(":nginx"))
        if not running:
            return None
        key, (pid, _) = self.chance.choice(running)
        self.killed.add(key)
        return find_process(pid)

    def _strike_master(self, site: Site, change: Change, mark: int) -> None:
        """While it commits: it is frozen until a look finds the lock of a writing transaction held."""
        with Writers(self.stage.paper, self.chance) as writers:
            writers.wait(1, DEADLINE)
            asking = threading.Thread(target=self.stage.ask, args=(site, change))
            asking.start()
            try:
                self._freeze_and_kill(writers, mark)
            finally:
                asking.join()
            writers.wait(2, DEADLINE)
        assert writers.errors == [], f"a writing client was refused: {writers.errors}"
        self.stage.paper.check(writers.touched)

    def _freeze_and_kill(self, writers: Writers, mark: int) -> None:
        time.sleep(self.chance.uniform(0.0, 0.3))
        pid, database = self.stage.master.pid, self.stage.cloud.master.config.below("master.db")
        for _ in range(COMMIT_LOOKS):
            os.kill(pid, signal.SIGSTOP)
            _await_stopped(pid)
            if is_committing(database, pid):
                break
            os.kill(pid, signal.SIGCONT)
            time.sleep(self.chance.uniform(0.0, 0.01))
        else:
            raise AssertionError("the master was never seen in a writing transaction")
        calls = Counter(writers.under_way())
        os.kill(pid, signal.SIGKILL)
        self.struck_at = time.monotonic()
        said = [f"{count} × {name}" for name, count in sorted(calls.items())]
        said += [f"{line.subject}: {line.text}" for line in self.stage.log.open_actions(mark).values()]
        self.played.interrupted = f"commit; unanswered: {', '.join(said)}"
        self.played.during = "commit"

    # what must hold

    def _settle(self) -> None:
        self.stage.wait()
        while self.gone:  # each once: its partition may have another tenant later
            self.stage.wait_gone(self.gone.pop())

    def _check_processes(self, before: Pids) -> None:
        assert self.stage.watch.findings == []
        after = wait_for(self.stage.pids, DEADLINE, "one process per service", until=self._complete)
        restarted = {key for key in before.keys() & after.keys() if before[key] != after[key]}
        assert [key for key in sorted(restarted) if not self._may_restart(key)] == [], "restarted without need"

    def _may_restart(self, key: str) -> bool:
        """Who was killed, and who runs something else now."""
        partition, _, service = key.partition(":")
        return key in self.killed or any(partition in where and change.touches(service) for change, where in self.made)

    def _complete(self, found: Pids) -> bool:
        """Each service runs once, and is what the supervisor, which runs too, takes for it."""
        try:
            services = open_supervisor(self.stage.cloud.node.config).services()
        except Unavailable:
            return False
        running = {key: (item.pid, item.start) for key, item in services.items() if item.pid}
        return running == found


_VICTIMS: dict[str, Callable[[Round], Process | None]] = {
    "buildout": Round._a_child,
    "daemon": lambda played: find_process(played.stage.daemon.pid),
    "warm": lambda played: warm_server(played.stage.daemon.pid),
    "supervisord": lambda played: find_process(open_supervisor(played.stage.cloud.node.config).pid()),
    "nginx": Round._an_nginx,
}


def _await_stopped(pid: int) -> None:
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        process = find_process(pid)
        if process is None or process.state == "T":
            return
        time.sleep(0.0005)
