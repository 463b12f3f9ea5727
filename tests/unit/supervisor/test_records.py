"""A record outlives its supervisor, and a broken one does no harm."""

from __future__ import annotations

from pathlib import Path

from slapos.node.supervisor.backoff import LONGEST, STABLE_SECONDS, count_crashes, delay
from slapos.node.supervisor.interface import ServiceSpec
from slapos.node.supervisor.records import ProcessRecord, Record, Store, Wanted, fingerprint

SPEC = ServiceSpec(partition="p", name="a", command=("/bin/true", "ü\n"), directory="/", log="", environment={"A": "1"})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    process = ProcessRecord(5, 6, "boot", 1.5, fingerprint(SPEC), "d", "r")
    record = Record(SPEC, Wanted.STOP, process, True, -9, 3)
    store.write(record)
    assert list(store.load()) == [("p:a.json", record)]
    store.forget("p:a")
    store.forget("p:a")
    assert list(store.load()) == []


def test_a_broken_record_is_as_good_as_none(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write(Record(SPEC))
    text = (tmp_path / "p:a.json").read_text()
    for name, content in {"cut": text[:40], "empty": "", "list": "[]", "wrong": '{"spec": 1}', "text": '"x"'}.items():
        (tmp_path / f"{name}.json").write_text(content)
    loaded = dict(store.load())
    assert loaded.pop("p:a.json") == Record(SPEC)
    assert set(loaded.values()) == {None}
    assert len(loaded) == 5


def test_the_first_crash_costs_nothing_and_many_are_slow() -> None:
    assert [delay(crashes) for crashes in (1, 2, 3, 4)] == [0.0, 0.5, 1.0, 2.0]
    assert delay(50) == LONGEST
    assert count_crashes(7, STABLE_SECONDS) == 1
    assert count_crashes(7, 1.0) == 8
