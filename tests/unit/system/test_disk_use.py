"""Measuring a directory that somebody else owns."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from slapos.system.disk_use import measure_disk

MIB = 1024 * 1024


def test_as_du_says(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(os.urandom(3 * MIB))
    (tmp_path / "a" / "hole").touch()
    os.truncate(tmp_path / "a" / "hole", 100 * MIB)
    os.link(tmp_path / "a" / "b" / "file", tmp_path / "again")
    found = measure_disk(str(tmp_path))
    assert found.complete
    assert 3 * MIB <= found.size < 3 * MIB + 100_000


def test_links_lead_nowhere(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "big").write_bytes(os.urandom(MIB))
    (inner / "file").symlink_to(tmp_path / "big")
    (inner / "directory").symlink_to(tmp_path)
    os.mkfifo(inner / "fifo")
    assert measure_disk(str(inner)).size < 100_000
    with pytest.raises(OSError):
        measure_disk(str(inner / "directory"))


def test_the_cost_is_bounded(tmp_path: Path) -> None:
    for index in range(200):
        (tmp_path / str(index)).touch()
    assert measure_disk(str(tmp_path), entries=200).complete
    assert not measure_disk(str(tmp_path), entries=199).complete
    deep = tmp_path / "deep"
    deep.mkdir()
    handle = os.open(deep, os.O_RDONLY)
    for _ in range(150):
        os.mkdir("d", dir_fd=handle)
        inner = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)
    before = len(os.listdir("/proc/self/fd"))
    assert not measure_disk(str(deep)).complete
    assert len(os.listdir("/proc/self/fd")) == before


def test_it_takes_its_share_of_a_processor_only(tmp_path: Path) -> None:
    for index in range(20_000):
        os.mkdir(tmp_path / str(index))
    began, used = time.monotonic(), time.thread_time()
    measure_disk(str(tmp_path), share=0.2)
    assert time.thread_time() - used < 0.4 * (time.monotonic() - began)
