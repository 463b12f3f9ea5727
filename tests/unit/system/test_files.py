"""Files of ours are whole, whatever is killed; directories have the mode asked for whatever the umask."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from slapos.system.files import atomic_write, make_directory, read_json, write_if_changed, write_json


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def strict_umask():
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_a_file_has_exactly_the_mode_asked_for(tmp_path: Path, strict_umask: None) -> None:
    atomic_write(str(tmp_path / "a"), "text é", 0o644)
    assert (tmp_path / "a").read_text() == "text é"
    assert mode(tmp_path / "a") == 0o644


def test_the_old_content_stays_when_the_new_cannot_be_written(tmp_path: Path) -> None:
    target = tmp_path / "a"
    atomic_write(str(target), "old")
    with pytest.raises(UnicodeEncodeError):
        atomic_write(str(target), "new \ud800")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    (tmp_path / "link").symlink_to(outside)
    atomic_write(str(tmp_path / "link"), "new")
    assert outside.read_text() == "untouched"
    assert not (tmp_path / "link").is_symlink()


def test_an_unchanged_file_is_not_written_again(tmp_path: Path) -> None:
    target = tmp_path / "a"
    assert write_if_changed(str(target), "one", 0o600)
    inode = target.stat().st_ino
    assert not write_if_changed(str(target), "one", 0o600)
    assert target.stat().st_ino == inode
    assert write_if_changed(str(target), "one", 0o644), "another mode is a change"
    assert mode(target) == 0o644


def test_a_cut_json_file_reads_as_the_default(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_json(str(target), {"b": 1})
    assert read_json(str(target)) == {"b": 1}
    target.write_bytes(target.read_bytes()[:3])
    assert read_json(str(target), []) == []
    assert read_json(str(tmp_path / "none"), {}) == {}


def test_new_parents_can_be_passed_by_others(tmp_path: Path, strict_umask: None) -> None:
    made = tmp_path / "x" / "y" / "z"
    assert make_directory(str(made), 0o700)
    assert (mode(tmp_path / "x"), mode(tmp_path / "x" / "y"), mode(made)) == (0o755, 0o755, 0o700)
    assert not make_directory(str(made), 0o700)
    assert make_directory(str(made), 0o750)
