"""Removal empties hostile trees, and touches nothing outside."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from slapos.system.removal import remove_tree


def test_what_links_point_to_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("stays")
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "link").symlink_to(outside)
    (tree / "a" / "link").symlink_to(outside)
    (tree / "a" / "dangling").symlink_to("nowhere")
    assert remove_tree(str(tree))
    assert not tree.exists()
    assert (outside / "file").read_text() == "stays"
    assert not remove_tree(str(tree))


def test_a_link_itself_is_removed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "link").symlink_to(outside)
    assert remove_tree(str(tmp_path / "link"))
    assert outside.is_dir()


def test_the_top_can_stay(tmp_path: Path) -> None:
    (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
    (tmp_path / "tree" / ".hidden").write_text("")
    inode = (tmp_path / "tree").stat().st_ino
    remove_tree(str(tmp_path / "tree"), keep_top=True)
    assert os.listdir(tmp_path / "tree") == []
    assert (tmp_path / "tree").stat().st_ino == inode


def test_a_tree_deeper_than_a_path_can_be_long(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    top.mkdir()
    handle = os.open(top, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d" * 10, dir_fd=handle)
        inner = os.open("d" * 10, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)
    assert remove_tree(str(top))
    assert not top.exists()


def test_directories_without_permissions(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "c").write_text("")
    (top / "a" / "b").chmod(0)
    (top / "a").chmod(0o500)
    assert remove_tree(str(top))
    assert not top.exists()


def test_a_directory_that_becomes_a_link_meanwhile(tmp_path: Path) -> None:
    """Somebody swaps directories for links to a precious place while the tree is removed."""
    precious = tmp_path / "precious"
    precious.mkdir()
    for index in range(20):
        (precious / str(index)).write_text("stays")
    top = tmp_path / "tree"
    for index in range(60):
        (top / str(index) / "x").mkdir(parents=True)
    stop = threading.Event()

    def swap() -> None:
        index = 0
        while not stop.is_set():
            name = top / str(index % 60)
            index += 1
            try:
                name.rename(top / f"moved{index}")
                name.symlink_to(precious)
            except OSError:
                continue

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(20):
            try:
                remove_tree(str(top))
                break
            except OSError:
                continue
    finally:
        stop.set()
        thread.join()
    remove_tree(str(top))
    assert len(os.listdir(precious)) == 20


@pytest.mark.root
def test_a_mount_point_is_refused(tmp_path: Path) -> None:
    from slapos.model.errors import MachineError
    from slapos.system.processes import run

    mounted = tmp_path / "tree" / "a" / "mounted"
    mounted.mkdir(parents=True)
    if run(["mount", "-t", "tmpfs", "none", str(mounted)]).code != 0:
        pytest.skip("this machine does not let root mount")
    try:
        (mounted / "file").write_text("stays")
        with pytest.raises(MachineError) as caught:
            remove_tree(str(tmp_path / "tree"))
        assert caught.value.reference == "mounted"
    finally:
        moved = next(path for path in (tmp_path / "tree").rglob("file")).parent
        assert run(["umount", str(moved)]).code == 0
