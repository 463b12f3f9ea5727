"""A node builds as a user of its own: root becomes that user, and the sandbox works for it too."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.build.job import Job
from slapos.build.sandbox import available
from slapos.build.store.store import Store
from slapos.build.warm import Warm
from tests.security.build_sandbox.hostile import section

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
confined = pytest.mark.skipif(bool(available()), reason=f"no sandbox here: {available()}")


@pytest.fixture
def directory() -> Iterator[Path]:
    """Other users may enter it, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="hox-sandbox-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@needs_root
@confined
def test_root_builds_as_another_user(directory: Path) -> None:
    user = pwd.getpwnam("nobody")
    for name in ("work", "store"):
        (directory / name).mkdir()
        os.chown(directory / name, user.pw_uid, user.pw_gid)
    make = f"id -un > out; touch {directory}/work/evil || echo refused >> out"
    profile = directory / "software.cfg"
    profile.write_text(f"[buildout]\nparts = tool\n{section(directory, 'tool', make)}")
    job = Job(
        kind="build",
        directory=str(directory / "work"),
        profile=str(profile),
        log=str(directory / "build.log"),
        user="nobody",
        overrides={"buildout": {"store": str(directory / "store")}},
    )
    with Warm(run_directory=str(directory / "run")) as warm:
        result = warm.run(job)
    assert result.outcome == "done", result.error
    stored = next(Store((str(directory / "store"),)).parts())
    assert stored.record.sandbox.startswith("bubblewrap")
    assert os.stat(stored.location).st_uid == user.pw_uid
    assert Path(stored.location, "tool").read_text() == "build\nrefused\n"
