"""What is remembered of releases, and when it is read again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from slapos.model.errors import InputError, NotFound, Unavailable
from slapos.schema.memory import FETCHED_SECONDS, LIMIT, UNAVAILABLE_SECONDS, SchemaMemory

REMOTE = "https://example.org/software.cfg"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Reader:
    """Files are read; of others, what a test says."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.remote: bytes | Exception = NotFound("none")

    def __call__(self, url: str) -> bytes:
        self.read.append(url)
        if url.startswith("/"):
            try:
                return Path(url).read_bytes()
            except FileNotFoundError as error:
                raise NotFound(url) from error
        if isinstance(self.remote, Exception):
            raise self.remote
        return self.remote


def descriptor(schema: str) -> bytes:
    entry = {"title": "t", "description": "d", "request": schema, "response": schema, "index": 0}
    return json.dumps({"name": "n", "serialisation": "xml", "software-type": {"default": entry}}).encode()


def write_schema(directory: Path, maximum: int) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": maximum}}}
    path = directory / "in.json"
    path.write_text(json.dumps(schema))
    os.utime(path, ns=(0, maximum))  # two edits of one moment differ


def test_files_are_read_again_when_one_changed(tmp_path: Path) -> None:
    release, memory, reader = str(tmp_path / "software.cfg"), SchemaMemory(Clock()), Reader()
    assert not memory.allows_all(release)
    assert memory.of(release, reader).types == ()
    assert memory.allows_all(release)
    assert memory.of(release, reader).types == () and len(reader.read) == 1
    (tmp_path / "software.cfg.json").write_bytes(descriptor("in.json"))
    write_schema(tmp_path, 3)
    assert not memory.allows_all(release)
    memory.of(release, reader).validate("default", {"a": "abc"})
    read = len(reader.read)
    memory.of(release, reader).validate("default", {"a": "abc"})
    assert len(reader.read) == read
    write_schema(tmp_path, 2)
    with pytest.raises(InputError):
        memory.of(release, reader).validate("default", {"a": "abc"})


def test_what_was_fetched_is_fetched_again_after_a_while() -> None:
    clock, reader = Clock(), Reader()
    memory = SchemaMemory(clock)
    memory.of(REMOTE, reader)
    clock.now += FETCHED_SECONDS - 1
    memory.of(REMOTE, reader)
    assert len(reader.read) == 1
    clock.now += 2
    memory.of(REMOTE, reader)
    assert len(reader.read) == 2


def test_a_silent_server_is_asked_once_in_a_while() -> None:
    clock, reader = Clock(), Reader()
    memory, reader.remote = SchemaMemory(clock), Unavailable("silent")
    for _ in range(3):
        with pytest.raises(Unavailable):
            memory.of(REMOTE, reader)
    assert len(reader.read) == 1 and not memory.allows_all(REMOTE)
    clock.now += UNAVAILABLE_SECONDS + 1
    reader.remote = NotFound("none")
    assert memory.of(REMOTE, reader).types == ()


def test_other_errors_are_not_remembered() -> None:
    reader, memory = Reader(), SchemaMemory(Clock())
    reader.remote = b"no json"
    for _ in range(2):
        with pytest.raises(InputError):
            memory.of(REMOTE, reader)
    assert len(reader.read) == 2


def test_only_so_many_are_remembered() -> None:
    reader, memory = Reader(), SchemaMemory(Clock())
    for number in range(LIMIT + 1):
        memory.of(f"https://example.org/{number}/software.cfg", reader)
    assert not memory.allows_all("https://example.org/0/software.cfg")
    assert memory.allows_all(f"https://example.org/{LIMIT}/software.cfg")
