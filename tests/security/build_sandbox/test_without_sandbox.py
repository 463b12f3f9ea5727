"""Machines on which no sandbox can be made: builds work, and their results say that they had none."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from slapos.build.sandbox import available
from slapos.system.processes import CLEAN_ENVIRONMENT, Completed, Launch, run
from tests.security.build_sandbox.hostile import section

TOP = Path(__file__).parents[3]

BUILD = """
import sys
from pathlib import Path
from slapos.build.store.store import Store
from tests.security.build_sandbox.hostile import built, section
directory = Path(sys.argv[1])
result = built(directory, section(directory, "plain", "echo plain > out; pwd >> out"), "plain")
print(result.sentence, result.error)
for stored in Store((str(directory / "store"),)).parts():
    print(stored.record.sandbox)
"""

NO_NAMESPACES = "echo 0 > /proc/sys/user/max_user_namespaces"
NO_PROGRAM = "mount --bind /dev/null {bwrap}"


def elsewhere(change: str, *command: str) -> Completed:
    """Run where ``change`` was made: in namespaces of its own, as their root."""
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", f'{change}; exec "$@"', "sh", *command]
    environment = {**CLEAN_ENVIRONMENT, "PYTHONPATH": str(TOP), "PYTHONDONTWRITEBYTECODE": "1"}
    return run(words, launch=Launch(directory=str(TOP), environment=environment), timeout=120)


@pytest.fixture(params=["no namespaces", "no bubblewrap"])
def change(request: pytest.FixtureRequest) -> str:
    bwrap = shutil.which("bwrap", path=CLEAN_ENVIRONMENT["PATH"])
    if available() or bwrap is None or elsewhere("true").code != 0:
        pytest.skip(f"nothing can be taken away here: {available()}")
    return NO_NAMESPACES if request.param == "no namespaces" else NO_PROGRAM.format(bwrap=bwrap)


def test_the_result_is_marked(change: str, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o777)
    done = elsewhere(change, sys.executable, "-c", BUILD, str(tmp_path))
    assert done.code == 0, done.text
    lines = done.text.splitlines()
    assert "1 parts are in place. None" in lines[-2]
    if change == NO_NAMESPACES:
        assert lines[-1].startswith("none: this kernel or container does not let bwrap make namespaces: bwrap:")
    else:
        assert lines[-1] == "none: the program bwrap cannot be run (package bubblewrap)"


def test_a_plan_says_so(change: str, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o777)
    profile = tmp_path / "software.cfg"
    profile.write_text(f"[buildout]\nparts = plain\n{section(tmp_path, 'plain', 'echo plain > out')}")
    words = ["build", str(profile), "--plan", "--store", str(tmp_path / "store"), "--directory", str(tmp_path / "work")]
    program = "import sys; from slapos.cli.start import main; sys.exit(main())"
    done = elsewhere(change, sys.executable, "-c", program, *words)
    assert done.code == 0, done.text
    assert done.text.count("Parts are built without a sandbox: ") == 1
