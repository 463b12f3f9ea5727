"""Reading and writing: group commit, durability of what was answered, waking others."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from slapos.master.storage import tables
from slapos.master.storage.database import Storage, open_storage
from slapos.master.storage.transaction import Transaction, WouldWrite
from slapos.model.errors import InputError, InternalError, MachineError, Unavailable

SECONDS = 20.0


def add_project(tx: Transaction, name: str) -> str:
    tx.execute(insert(tables.projects).values(reference=name, created=0))
    tx.node_changed(1)
    return name


def projects(storage: Storage) -> set[str]:
    return set(storage.read(lambda tx: tx.execute(select(tables.projects.c.reference)).scalars().all()))


def in_one_group(storage: Storage, functions: list) -> list:  # type: ignore[type-arg]
    """The results (or errors) of writes that wait together behind a slow one."""
    busy, go = threading.Event(), threading.Event()

    def slow(tx: Transaction) -> None:
        busy.set()
        go.wait(SECONDS)

    async def submitted() -> list[object]:
        first = storage.submit(slow)
        busy.wait(SECONDS)
        others = [storage.submit(function) for function in functions]
        go.set()
        return (await asyncio.gather(first, *others, return_exceptions=True))[1:]

    return asyncio.run(asyncio.wait_for(submitted(), SECONDS))


def test_waiting_writes_share_a_commit_and_a_generation(storage: Storage) -> None:
    commits, generation = storage.commits, storage.generation()
    names = [f"p{number}" for number in range(20)]
    results = in_one_group(storage, [lambda tx, name=name: add_project(tx, name) for name in names])
    assert results == names
    assert projects(storage) >= set(names)
    joins = storage.dialect == "sqlite"  # elsewhere nobody joins one who began alone
    assert storage.commits == commits + (1 if joins else 2)
    assert storage.generation() == generation + 1


def test_an_answer_that_nobody_waits_for_any_more_is_written(storage: Storage) -> None:
    async def leave() -> None:
        future = storage.submit(lambda tx: add_project(tx, "left"))
        future.cancel()
        await storage.submit(lambda tx: add_project(tx, "stayed"))

    asyncio.run(leave())
    assert projects(storage) >= {"left", "stayed"}


def test_a_loop_that_ended_disturbs_nobody(storage: Storage) -> None:
    async def forget() -> None:
        storage.submit(lambda tx: (time.sleep(0.2), add_project(tx, "forgotten")))

    asyncio.run(forget())
    assert storage.write(lambda tx: add_project(tx, "next")) == "next"
    assert projects(storage) >= {"forgotten", "next"}


def test_a_failing_write_fails_alone(storage: Storage) -> None:
    woken: list[frozenset[str]] = []
    storage.subscribe(lambda generation, subjects: woken.append(subjects))

    def failing(tx: Transaction) -> None:
        add_project(tx, "half")
        tx.node_changed(99)
        raise InputError("no")

    def breaking(tx: Transaction) -> None:
        add_project(tx, "half")
        tx.execute(text("SELECT * FROM nowhere"))

    results = in_one_group(
        storage, [lambda tx: add_project(tx, "a"), failing, breaking, lambda tx: add_project(tx, "b")]
    )
    assert results[0] == "a" and results[3] == "b"
    assert isinstance(results[1], InputError)
    assert isinstance(results[2], Unavailable | DBAPIError)
    assert projects(storage) == {"main", "a", "b"}
    assert all("COMP-99" not in subjects for subjects in woken)


def test_a_duplicate_is_refused_by_the_database(storage: Storage) -> None:
    storage.write(lambda tx: add_project(tx, "a"))
    with pytest.raises((IntegrityError, Unavailable)):
        storage.write(lambda tx: add_project(tx, "a"))
    assert storage.write(lambda tx: add_project(tx, "b")) == "b"


def test_readers_cannot_write(storage: Storage) -> None:
    with pytest.raises(WouldWrite):
        storage.read(lambda tx: add_project(tx, "a"))
    with pytest.raises((DBAPIError, Unavailable)):  # also what nobody announced
        storage.read(lambda tx: tx.execute(text("DELETE FROM projects")))
    assert projects(storage) == {"main"}


def test_readers_see_one_snapshot(storage: Storage) -> None:
    def twice(tx: Transaction) -> tuple[int, int]:
        count = select(tables.projects.c.reference)
        before = len(tx.execute(count).all())
        with ThreadPoolExecutor(1) as pool:
            pool.submit(storage.write, lambda other: add_project(other, "meanwhile")).result(SECONDS)
        return before, len(tx.execute(count).all())

    assert storage.read(twice) == (1, 1)
    assert projects(storage) == {"main", "meanwhile"}


def test_a_write_in_a_write_is_refused(storage: Storage) -> None:
    with pytest.raises(InternalError):
        storage.write(lambda tx: storage.write(lambda inner: None))


def test_a_closed_storage_says_so(url: str) -> None:
    storage = open_storage(url)
    storage.close()
    storage.close()
    with pytest.raises(Unavailable) as caught:
        storage.write(lambda tx: None)
    assert caught.value.reference == "master-stopping"


def test_nothing_changed_wakes_nobody(storage: Storage) -> None:
    woken: list[int] = []
    storage.subscribe(lambda generation, subjects: woken.append(generation))
    generation = storage.generation()
    storage.write(lambda tx: None)
    assert (woken, storage.generation()) == ([], generation)


def test_subscribers_hear_after_the_commit(storage: Storage) -> None:
    heard = threading.Event()
    seen: list[tuple[int, frozenset[str]]] = []

    def listen(generation: int, subjects: frozenset[str]) -> None:
        seen.append((generation, subjects))
        heard.set()

    stop = storage.subscribe(listen)
    storage.write(lambda tx: tx.node_changed(7))
    assert heard.wait(SECONDS)
    assert seen[0] == (storage.generation(), frozenset({"COMP-7"}))
    stop()


def test_another_process_is_woken(storage: Storage, url: str) -> None:
    if storage.dialect == "sqlite":
        pytest.skip("one process serves an SQLite database")
    heard = threading.Event()
    seen: list[frozenset[str]] = []

    def listen(generation: int, subjects: frozenset[str]) -> None:
        seen.append(subjects)
        heard.set()

    other = open_storage(url)
    try:
        other.subscribe(listen)
        deadline = threading.Event()
        for _ in range(100):  # until it listens
            storage.write(lambda tx: tx.node_changed(7))
            if heard.wait(0.1):
                break
        assert frozenset({"COMP-7"}) in seen
        seen.clear()
        storage.write(lambda tx: [tx.node_changed(number) for number in range(2_000)] and None)
        while frozenset() not in seen and not deadline.wait(0.02):
            pass
    finally:
        other.close()


def test_conflicts_of_two_masters_are_tried_again(storage: Storage, url: str) -> None:
    """Two groups that lock two rows in opposite order: both get through."""
    if storage.dialect == "sqlite":
        pytest.skip("SQLite has one writer")
    other = open_storage(url)
    for name in ("a", "b"):
        storage.write(lambda tx, name=name: add_project(tx, name))
    barrier = threading.Barrier(2)

    def lock_both(first: str, second: str):  # type: ignore[no-untyped-def]
        waited = []

        def function(tx: Transaction) -> str:
            table = tables.projects
            tx.execute(update(table).where(table.c.reference == first).values(created=table.c.created + 1))
            if not waited:
                waited.append(True)
                barrier.wait(SECONDS)
            tx.execute(update(table).where(table.c.reference == second).values(created=table.c.created + 1))
            return first

        return function

    try:
        with ThreadPoolExecutor(2) as pool:
            one = pool.submit(storage.write, lock_both("a", "b"))
            two = pool.submit(other.write, lock_both("b", "a"))
            assert (one.result(SECONDS), two.result(SECONDS)) == ("a", "b")
        table = tables.projects
        counts = select(table.c.created).where(table.c.reference.in_(["a", "b"]))
        assert storage.read(lambda tx: tx.execute(counts).scalars().all()) == [2, 2]
    finally:
        other.close()


@pytest.mark.parametrize("wrong", ["mysql://x", "sqlite://", "sqlite:///", "postgresql://x", ""])
def test_other_databases_are_refused(wrong: str) -> None:
    with pytest.raises(InputError) as caught:
        open_storage(wrong)
    assert caught.value.context["field"] == "database_url"


def test_an_unreachable_server_is_unavailable(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Unavailable):
        open_storage(f"postgresql+psycopg://owner@/x?host={tmp_path}")
    with pytest.raises(MachineError):
        open_storage(f"sqlite:////proc/nowhere/{tmp_path.name}.db")
