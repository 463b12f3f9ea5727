"""SIGKILL of a writing process at a random moment: whatever was acknowledged is there, and the database is whole."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from pathlib import Path

from sqlalchemy import text

from slapos.master.services.instances import list_roots
from slapos.master.storage.database import Storage, open_storage
from slapos.model.objects import Instance
from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, start
from tests.unit.master.world import OPERATOR, World

ROUNDS = 12
SEED = 20261123
TOP = str(Path(__file__).parents[3])
START_SECONDS = 60.0


def killed_writer(url: str, prefix: str, output: Path, seconds: float) -> list[str]:
    """The lines that it wrote before it was killed, ``seconds`` after the first."""
    command = [sys.executable, "-m", "tests.functional.master_storage.writing_process", url, prefix]
    launch = Launch(directory=TOP, environment={**CLEAN_ENVIRONMENT, "PYTHONPATH": TOP})
    output.touch()
    started = start(command, launch=launch, output=str(output))
    try:
        deadline = time.monotonic() + START_SECONDS
        while not output.stat().st_size:
            assert started.popen.poll() is None and time.monotonic() < deadline, output.read_text()
            time.sleep(0.005)
        time.sleep(seconds)
    finally:
        os.kill(started.pid, signal.SIGKILL)
        assert started.popen.wait(10) == -signal.SIGKILL
    return output.read_text().splitlines()


def found(url: str) -> dict[str, Instance]:
    storage = open_storage(url)
    try:
        return {root.title: root for root in storage.read(lambda tx: list_roots(tx, OPERATOR))}
    finally:
        storage.close()


def test_every_acknowledged_order_survives(url: str, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    storage = open_storage(url)
    world = World(storage)
    for _ in range(4):
        world.node(partitions=200)
    storage.close()
    acknowledged: dict[str, tuple[str, str]] = {}
    rounds = ROUNDS if url.startswith("sqlite") else ROUNDS // 3
    for number in range(rounds):
        lines = killed_writer(url, f"r{number}", tmp_path / f"out{number}", chance.uniform(0.1, 0.8))
        for line in lines:
            title, guid, place = line.rsplit(" ", 2)
            acknowledged[title] = (guid, place)
        if url.startswith("sqlite"):
            check_whole(url)
        present = found(url)
        lost = {
            title: answer
            for title, answer in acknowledged.items()
            if title not in present
            or answer != (present[title].guid, f"{present[title].node}/{present[title].partition}")
        }
        assert lost == {}, f"round {number}"
        places = Counter((root.node, root.partition) for root in present.values() if root.node)
        assert max(places.values()) == 1
    assert len(acknowledged) >= rounds


def check_whole(url: str) -> None:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
    storage = open_storage(url)
    try:
        check_counts(storage)
    finally:
        storage.close()


def check_counts(storage: Storage) -> None:
    """The counts that allocations read agree with the partitions."""
    wrong = text(
        "SELECT c.node FROM capacities c WHERE c.free != (SELECT count(*) FROM partitions p"
        " WHERE p.node = c.node AND p.instance IS NULL AND p.formatted)"
    )
    assert storage.read(lambda tx: tx.execute(wrong).all()) == []
