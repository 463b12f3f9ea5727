"""Copies of a database in use, and their return."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from slapos.master.services import instances
from slapos.master.storage import backups
from slapos.master.storage.database import Storage, open_storage
from slapos.model.errors import InputError, NotFound
from tests.unit.master.world import OPERATOR, World


def titles(storage: Storage) -> list[str]:
    return [root.title for root in storage.read(lambda tx: instances.list_roots(tx, OPERATOR))]


def test_a_backup_comes_back(world: World, url: str, tmp_path: Path) -> None:
    world.node()
    world.request("before")
    path = tmp_path / "backups" / "copy"
    world.storage.backup(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    world.request("after")
    assert titles(world.storage) == ["before", "after"]
    world.storage.close()
    backups.restore(url, str(path))
    again = open_storage(url)
    try:
        assert titles(again) == ["before"]
        assert World(again).request("third").node
    finally:
        again.close()
    assert os.listdir(path.parent) == ["copy"]


def test_a_broken_backup_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/master.db"
    storage = open_storage(url)
    World(storage).request("kept")
    storage.close()
    with pytest.raises(NotFound):
        backups.restore(url, str(tmp_path / "nothing"))
    broken = tmp_path / "broken"
    for content in (b"", b"SQLite format 3\0" + b"x" * 5_000, (tmp_path / "master.db").read_bytes()[:8_000]):
        broken.write_bytes(content)
        with pytest.raises(InputError) as caught:
            backups.restore(url, str(broken))
        assert caught.value.reference == "invalid-backup"
    storage = open_storage(url)
    assert titles(storage) == ["kept"]
    storage.close()


def test_what_was_there_is_kept_beside(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/master.db"
    storage = open_storage(url)
    storage.backup(str(tmp_path / "empty"))
    World(storage).request("only here")
    storage.close()
    backups.restore(url, str(tmp_path / "empty"))
    before = open_storage(f"sqlite:///{tmp_path}/master.db.before-restore")
    assert titles(before) == ["only here"]
    before.close()
