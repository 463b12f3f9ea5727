"""What is done on the event loop, what in a thread, and what by the writer."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from slapos.master.desk import Desk, Done, ToWrite
from slapos.master.storage.blocking import may_block
from slapos.master.storage.database import Storage, open_storage
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import InputError, Unavailable
from slapos.schema.fetch import Fetcher
from slapos.schema.memory import SchemaMemory


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    opened = open_storage(f"sqlite:///{tmp_path}/m.db")
    yield opened
    opened.close()


@pytest.fixture
def desk(storage: Storage) -> Iterator[Desk]:
    with ThreadPoolExecutor(2, thread_name_prefix="pool") as pool:
        yield Desk(storage=storage, pool=pool)


def where() -> str:
    return threading.current_thread().name.partition("_")[0]


def perform(desk: Desk, begin: object) -> object:
    return asyncio.run(desk.perform(begin))  # type: ignore[arg-type]


def test_what_does_not_block_is_done_at_once(desk: Desk) -> None:
    assert perform(desk, lambda: Done(where())) == "MainThread"


def test_what_may_block_is_begun_again_in_a_thread(desk: Desk) -> None:
    begun: list[str] = []

    def begin() -> Done[str]:
        begun.append(where())
        may_block()
        return Done(where())

    assert perform(desk, begin) == "pool"
    assert begun == ["MainThread", "pool"]
    may_block()  # nobody is on the event loop now


def test_a_schema_whose_reference_was_never_followed_is_no_wrong_schema(desk: Desk, tmp_path: Path) -> None:
    """Its release was remembered by another request, which followed no reference yet."""
    (tmp_path / "common.json").write_text('{"$defs": {"title": {"type": "string"}}}')
    (tmp_path / "in.json").write_text('{"properties": {"title": {"$ref": "common.json#/$defs/title"}}}')
    entry = {"title": "t", "description": "d", "request": "in.json", "response": "in.json", "index": 0}
    descriptor = {"name": "n", "serialisation": "xml", "software-type": {"default": entry}}
    (tmp_path / "software.cfg.json").write_text(json.dumps(descriptor))
    release, fetcher, memory = str(tmp_path / "software.cfg"), Fetcher(roots=(str(tmp_path),)), SchemaMemory()

    def fetch(url: str) -> bytes:
        may_block()
        return fetcher(url)

    memory.of(release, fetch).validate("default", {})

    def begin() -> Done[str]:
        memory.of(release, fetch).validate("default", {"title": "Hello"})
        return Done(where())

    assert perform(desk, begin) == "pool"


def test_what_is_to_be_written_is_written_by_the_writer(desk: Desk, storage: Storage) -> None:
    def write(tx: Transaction) -> str:
        tx.node_changed(1)
        return where()

    before = storage.generation()
    assert perform(desk, lambda: ToWrite(write)) == "storage-writer"
    assert storage.generation() == before + 1


def test_a_write_inside_the_beginning_leaves_the_event_loop(desk: Desk, storage: Storage) -> None:
    assert perform(desk, lambda: Done((where(), storage.write(lambda tx: where())))) == ("pool", "storage-writer")


def test_errors_come_back_to_who_waits(desk: Desk, storage: Storage) -> None:
    def failing(tx: Transaction) -> None:
        raise InputError("no")

    with pytest.raises(InputError):
        perform(desk, lambda: ToWrite(failing))
    storage.close()
    with pytest.raises(Unavailable):
        perform(desk, lambda: ToWrite(lambda tx: None))


def test_who_goes_away_does_not_stop_the_writer(desk: Desk, storage: Storage) -> None:
    go = threading.Event()

    async def impatient() -> None:
        slow = asyncio.create_task(desk.perform(lambda: ToWrite(lambda tx: go.wait(10))))
        await asyncio.sleep(0.05)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        go.set()

    asyncio.run(impatient())
    assert storage.write(lambda tx: "still there") == "still there"
