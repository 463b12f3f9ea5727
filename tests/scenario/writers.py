"""Clients that write all the time, and remember what the master acknowledged.

They order on a node that exists on paper only, so that nothing but the master has work with it.
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self

from slapos.model.objects import Instance, InstanceRequest
from slapos.slap.client import Client
from slapos.testing.cloud import Cloud
from slapos.testing.waiting import wait_for

CLIENTS = 6
PARTITIONS = 2_000
PATIENCE = 90.0
WAL_WRITE_LOCK = 120
"""The byte of SQLite's ``-shm`` file that a writing transaction locks (https://sqlite.org/walformat.html, 2.3)."""


@dataclass
class Paper:
    """A node without computer; ``acknowledged``: what was answered, by guid."""

    cloud: Cloud
    node: str = ""
    acknowledged: dict[str, Instance] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.node, client = self.cloud.master.client_for_new_node("paper", PARTITIONS)
        client.close()
        self.cloud.client.supply(self.node, self.cloud.release)

    def note(self, instance: Instance) -> None:
        with self.lock:
            self.acknowledged[instance.guid] = instance

    def check(self, guids: Iterable[str]) -> None:
        """What was acknowledged last is what the master says now."""
        for guid in guids:
            wanted, now = self.acknowledged[guid], self.cloud.client.instance(guid)
            assert _essence(now) == _essence(wanted)

    def check_all(self) -> None:
        """All that was ever acknowledged is there; no place and no title was given twice."""
        found = {item.guid: item for item in self.cloud.client.roots()}
        lost = [guid for guid, item in self.acknowledged.items() if _essence(found[guid]) != _essence(item)]
        assert lost == []
        assert max(Counter((item.node, item.partition) for item in found.values() if item.node).values()) == 1
        assert max(Counter(item.title for item in found.values()).values()) == 1


def _essence(instance: Instance) -> tuple[object, ...]:
    return instance.title, dict(instance.parameters), instance.node, instance.partition


class Writers:
    """While inside, several clients order and change without pause."""

    def __init__(self, paper: Paper, chance: random.Random) -> None:
        self.paper = paper
        self.touched: set[str] = set()
        self.errors: list[str] = []
        self._ending = threading.Event()
        self._calls: dict[int, str] = {}
        self._answers: Counter[int] = Counter()
        seeds = [chance.random() for _ in range(CLIENTS)]
        self._threads = [
            threading.Thread(target=self._write, args=(number, random.Random(seed)), daemon=True)
            for number, seed in enumerate(seeds)
        ]

    def under_way(self) -> list[str]:
        """Calls that were sent and are not answered."""
        return sorted(self._calls.values())

    def wait(self, answers: int, seconds: float) -> None:
        """Until each client has had this many more answers."""
        before = Counter(self._answers)
        wait_for(
            lambda: min(self._answers[number] - before[number] for number in range(CLIENTS)),
            seconds,
            f"each writing client has {answers} more answers; errors: {self.errors}",
            until=lambda least: least >= answers or bool(self.errors),
        )

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number: int, chance: random.Random) -> None:
        files = self.paper.cloud.master.files
        assert files is not None
        client = self.paper.cloud.master.client(files.certificate_path, files.key_path, patience=PATIENCE)
        base = f"paper {chance.getrandbits(48):x}"
        try:
            for count in range(10_000):
                if self._ending.is_set():
                    return
                self._one(number, client, chance, f"{base} {count}")
        except Exception as error:  # noqa: BLE001 - the test shows it; a thread cannot raise it there
            self.errors.append(f"{type(error).__name__}: {error}")
        finally:
            self._calls.pop(number, None)
            client.close()

    def _one(self, number: int, client: Client, chance: random.Random, title: str) -> None:
        """Order something, change it a few times, rename it."""
        instance = self._call(number, "order", partial(client.request, self._order(title, 0)))
        for value in range(1, chance.randint(2, 8)):
            self._call(number, "change", partial(client.request, self._order(title, value)))
        self._call(number, "rename", partial(client.rename, instance.guid, f"{title} renamed"))

    def _order(self, title: str, value: int) -> InstanceRequest:
        parameters = {"_": json.dumps({"title": f"value {value}"})}
        return InstanceRequest(
            title, self.paper.cloud.release, "default", parameters, {"computer_guid": self.paper.node}
        )

    def _call(self, number: int, name: str, act: Callable[[], Instance]) -> Instance:
        self._calls[number] = name
        instance = act()
        self.paper.note(instance)
        self.touched.add(instance.guid)
        self._calls.pop(number, None)
        self._answers[number] += 1
        return instance


def is_committing(database: str, pid: int) -> bool:
    """Whether the process holds the lock of a writing transaction of an SQLite database, as the kernel knows it."""
    try:
        inode = os.stat(f"{database}-shm").st_ino
        with open("/proc/locks", encoding="ascii") as stream:
            lines = [line.split() for line in stream]
    except OSError:
        return False
    for words in lines:
        if "POSIX" not in words or "WRITE" not in words or str(pid) not in words:
            continue
        where, begin, end = words[-3:]
        if (
            where.endswith(f":{inode}")
            and int(begin) <= WAL_WRITE_LOCK
            and (end == "EOF" or int(end) >= WAL_WRITE_LOCK)
        ):
            return True
    return False
