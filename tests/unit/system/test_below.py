"""Root never leaves a directory that somebody else can write (trap 11)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from slapos.model.errors import InputError
from slapos.system.below import (
    directory_below,
    link_below,
    list_below,
    make_directory_below,
    own_directory,
    read_below,
    unlink_below,
    write_below,
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_text("secret")
    partition = tmp_path / "partition"
    (partition / "etc").mkdir(parents=True)
    return partition


def test_reading_a_plain_file(place: Path) -> None:
    (place / "etc" / "a").write_text("x")
    assert read_below(str(place), "etc/a") == b"x"
    assert read_below(str(place), "etc/a", frozenset({os.geteuid()})) == b"x"


@pytest.mark.parametrize("kind", ["file-link", "folder-link", "fifo", "socket", "directory"])
def test_only_regular_files_below_are_read(place: Path, kind: str) -> None:
    if kind == "file-link":
        (place / "etc" / "file").symlink_to("../../secret/file")
    elif kind == "folder-link":
        (place / "etc").rmdir()
        (place / "etc").symlink_to("../secret")
    elif kind == "fifo":
        os.mkfifo(place / "etc" / "file")
    elif kind == "socket":
        os.mknod(place / "etc" / "file", stat.S_IFSOCK | 0o600)
    else:
        (place / "etc" / "file").mkdir()
    with pytest.raises(InputError) as caught:
        read_below(str(place), "etc/file")
    assert caught.value.reference == "unsafe-path"


@pytest.mark.parametrize("path", ["../secret/file", "etc/../../secret/file", "/etc/passwd", "etc/\0a"])
def test_a_path_that_leads_out_is_refused(place: Path, path: str) -> None:
    with pytest.raises(InputError) as caught:
        read_below(str(place), path)
    assert caught.value.reference == "invalid-path"


def test_a_file_of_somebody_else_is_refused(place: Path) -> None:
    (place / "etc" / "a").write_text("x")
    with pytest.raises(InputError) as caught:
        read_below(str(place), "etc/a", frozenset({os.geteuid() + 1}))
    assert "belongs to the user id" in str(caught.value)


def test_a_large_file_is_refused_before_it_is_read(place: Path) -> None:
    with open(place / "etc" / "a", "wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(InputError) as caught:
        read_below(str(place), "etc/a")
    assert caught.value.reference == "too-large"


def test_writing_replaces_a_link_and_never_its_target(place: Path) -> None:
    outside = place.parent / "secret" / "file"
    (place / "etc" / "a").symlink_to(outside)
    write_below(str(place), "etc/a", "new", mode=0o600)
    assert outside.read_text() == "secret"
    assert (place / "etc" / "a").read_text() == "new"
    assert os.listdir(place / "etc") == ["a"]


def test_writing_does_not_pass_a_linked_folder(place: Path) -> None:
    (place / "etc").rmdir()
    (place / "etc").symlink_to("../secret")
    with pytest.raises(InputError):
        write_below(str(place), "etc/a", "new")
    with pytest.raises(InputError):
        make_directory_below(str(place), "etc/b")
    assert os.listdir(place.parent / "secret") == ["file"]


def test_directories_are_made_one_by_one(place: Path) -> None:
    make_directory_below(str(place), "a/b/c", mode=0o755)
    assert stat.S_IMODE((place / "a" / "b" / "c").stat().st_mode) == 0o755
    make_directory_below(str(place), "a/b/c")
    (place / "file").write_text("")
    with pytest.raises(InputError):
        make_directory_below(str(place), "file")


def test_links_are_made_and_replaced(place: Path) -> None:
    link_below(str(place), "release", "/one")
    link_below(str(place), "release", "/two")
    link_below(str(place), "release", "/two")
    assert os.readlink(place / "release") == "/two"


def test_listing_shows_links_as_links_and_nothing_for_an_absent_folder(place: Path) -> None:
    (place / "etc" / "b").symlink_to("/etc/passwd")
    (place / "etc" / "a").write_text("")
    names = [(name, stat.S_ISLNK(facts.st_mode)) for name, facts in list_below(str(place), "etc")]
    assert names == [("a", False), ("b", True)]
    assert list_below(str(place), "none/at/all") == ()


def test_unlinking_removes_the_name_only(place: Path) -> None:
    outside = place.parent / "secret" / "file"
    (place / "etc" / "a").symlink_to(outside)
    assert unlink_below(str(place), "etc/a")
    assert not unlink_below(str(place), "etc/a")
    assert outside.exists()


def test_owning_a_directory_does_not_follow_a_link(place: Path) -> None:
    secret = place.parent / "secret"
    before = stat.S_IMODE(secret.stat().st_mode)
    (place / "link").symlink_to(secret)
    with pytest.raises(OSError):
        own_directory(str(place / "link"), os.geteuid(), os.getegid(), 0o700)
    assert stat.S_IMODE(secret.stat().st_mode) == before
    own_directory(str(place), os.geteuid(), os.getegid(), 0o711)
    assert stat.S_IMODE(place.stat().st_mode) == 0o711


def test_no_descriptor_is_left_open(place: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        write_below(str(place), "etc/a", "x")
        read_below(str(place), "etc/a")
        with directory_below(str(place), "etc"):
            pass
        with pytest.raises(FileNotFoundError), directory_below(str(place), "none"):
            pass
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.root
def test_new_files_and_directories_get_their_owner(place: Path) -> None:
    make_directory_below(str(place), "var/log", owner=(12345, 12346))
    write_below(str(place), "var/log/a", "x", owner=(12345, 12346))
    link_below(str(place), "var/link", "log", owner=(12345, 12346))
    for name in ("var", "var/log", "var/log/a", "var/link"):
        facts = (place / name).lstat()
        assert (facts.st_uid, facts.st_gid) == (12345, 12346), name
