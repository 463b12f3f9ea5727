"""Locks, space, clocks, users."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from slapos.model.errors import Conflict, MachineError, NotFound
from slapos.model.text import size_text
from slapos.system.accounts import join_group, make_group, make_user, remove_user
from slapos.system.clock import ManualClock, SystemClock
from slapos.system.disk import free_space, require_free_space
from slapos.system.locks import is_locked, locked, try_lock
from slapos.system.processes import start
from slapos.system.proctable import end_tree
from slapos.system.users import find_identity, group_id, group_members, identity, own_identity


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    assert not is_locked(path)
    with locked(path):
        assert is_locked(path)
        with pytest.raises(Conflict) as caught, locked(path, 0.05, "The partition slappart0"):
            pass
        assert "The partition slappart0" in str(caught.value)
    assert not is_locked(path)


def test_a_lock_ends_with_its_holder(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    held = f"open({path!r} + '.held', 'w'); time.sleep(99)"
    code = f"from slapos.system.locks import try_lock; import time; try_lock({path!r}); {held}"
    holder = start([sys.executable, "-c", code])
    deadline = time.monotonic() + 10
    while not os.path.exists(path + ".held") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert try_lock(path) is None
    end_tree(holder.pid, 0.0)
    holder.popen.wait()
    with locked(path, 5.0):
        pass


def test_a_lock_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to("/etc/passwd")
    with pytest.raises(OSError):
        try_lock(str(tmp_path / "lock"))


def test_sizes_as_people_read_them() -> None:
    assert [size_text(size) for size in (0, 1023, 1536, 5 * 1024**3)] == ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]


def test_a_full_disk_is_said_with_numbers(tmp_path: Path) -> None:
    free = free_space(str(tmp_path))
    assert require_free_space(str(tmp_path), 1) > 0
    with pytest.raises(MachineError) as caught:
        require_free_space(str(tmp_path), free + 2**40)
    assert caught.value.reference == "disk-full"
    assert caught.value.context["needed"] == free + 2**40


def test_clocks() -> None:
    clock = ManualClock(10.0)
    clock.sleep(5)
    assert clock.wall() == clock.monotonic() == 15.0
    assert abs(SystemClock().wall() - time.time()) < 1


def test_users() -> None:
    assert own_identity().uid == os.geteuid()
    assert find_identity("nobody-of-that-name") is None
    with pytest.raises(NotFound) as caught:
        identity("nobody-of-that-name")
    assert caught.value.hint == "Run: slapos node format"
    assert group_members("nobody-of-that-name") == ()


@pytest.mark.root
def test_a_user_comes_and_goes() -> None:
    name, group = f"hoxt{os.getpid()}u", f"hoxt{os.getpid()}g"
    try:
        make_group(group)
        make_user(name, "/nonexistent", (group,))
        make_user(name, "/nonexistent", (group,))
        user = identity(name)
        assert user.uid != 0
        assert user.home == "/nonexistent"
        assert group_id(group) in user.groups
        make_group(group + "2")
        join_group(name, group + "2")
        assert group_members(group + "2") == (name,)
    finally:
        assert remove_user(name)
        for each in (group, group + "2"):
            remove_user(each)
    assert find_identity(name) is None
    assert group_id(name) is None
    assert group_id(group) is None
    assert not remove_user(name)
