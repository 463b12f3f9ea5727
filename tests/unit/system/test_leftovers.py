"""Whatever a tenant left is found; what is not its own is not."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from slapos.system.accounts import make_user, remove_user
from slapos.system.leftovers import LeftoverKind, Tenant, find_leftovers, remove_leftover
from slapos.system.processes import Launch, check_run, start
from slapos.system.proctable import end_tree
from slapos.system.users import Identity, identity


def test_an_empty_partition_has_no_leftovers(tmp_path: Path) -> None:
    (tmp_path / ".slapos-resource").write_text("{}")
    assert find_leftovers(Tenant(directory=str(tmp_path))) == ()
    assert find_leftovers(Tenant(directory=str(tmp_path / "none"))) == ()


def test_files_and_processes_without_a_user_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    process = start(["/bin/sleep", "300"], launch=Launch(directory=str(tmp_path)))
    try:
        found = find_leftovers(Tenant(directory=str(tmp_path)))
        assert [(each.kind, each.subject) for each in found] == [
            (LeftoverKind.PROCESS, str(process.pid)),
            (LeftoverKind.FILE, str(tmp_path / "file")),
        ]
        assert "sleep" in str(found[0])
    finally:
        end_tree(process.pid, 0.0)
        process.popen.wait()


@pytest.fixture
def user():
    name = f"hoxl{os.getpid()}"
    make_user(name, "/nonexistent")
    yield identity(name)
    remove_user(name)


@pytest.mark.root
def test_everything_of_a_user_is_found_and_removed(tmp_path: Path, user: Identity) -> None:
    launch = Launch(user=user)
    folder = tempfile.mkdtemp(prefix="hox-left-")
    os.chmod(folder, 0o777)
    crontab = Path("/var/spool/cron/crontabs") / user.name
    files = f"touch /dev/shm/{user.name}; mkdir /tmp/{user.name}; touch /tmp/{user.name}/a {folder}/b"
    script = f"{files}; ipcmk -M 100; ipcmk -S 1"
    tenant = Tenant(directory=str(tmp_path), uid=user.uid, name=user.name, gids=frozenset(user.groups))
    earlier = find_leftovers(tenant)  # of whoever had this uid before, a killed test for example
    check_run(["/bin/sh", "-c", script], launch=launch)
    had_spool = crontab.parent.is_dir()
    if had_spool:
        crontab.write_text("* * * * * true\n")
    process = start(["/bin/sleep", "300"], launch=launch)
    try:
        found = find_leftovers(tenant)
        subjects = {each.subject for each in found}
        assert {str(process.pid), f"/dev/shm/{user.name}", f"/tmp/{user.name}", f"{folder}/b"} <= subjects
        assert sum(each.kind is LeftoverKind.MEMORY for each in set(found) - set(earlier)) == 2
        assert not had_spool or str(crontab) in subjects
        for each in found:
            remove_leftover(each)
        process.popen.wait(timeout=5)
        deadline = time.monotonic() + 5
        while find_leftovers(tenant) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert find_leftovers(tenant) == ()
    finally:
        end_tree(process.pid, 0.0)
        process.popen.wait()
        for each in find_leftovers(tenant):  # else the next user with this uid has them
            remove_leftover(each)
        crontab.unlink(missing_ok=True)
        shutil.rmtree(folder)
