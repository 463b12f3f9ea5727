"""Releases that bring their own ``bin/buildout``: which program, with what, and what comes of it."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from slapos.build.job import Job
from slapos.build.own_buildout import brought_buildout, builds_itself, interpreter, own_python
from slapos.build.release import build_job
from slapos.build.run import execute

SCRIPT = f"""#!{sys.executable} -S
import os, sys
with open("told", "a") as stream:
    mask = os.umask(0)
    stream.write(" ".join(sys.argv[1:]) + "|%o|%s" % (mask, os.getcwd()) + os.linesep)
print("a line of the log", flush=True)
if os.path.exists("fail"):
    sys.exit(3)
"""


def program(path: Path, text: str = SCRIPT, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def release(tmp_path: Path) -> Path:
    program(tmp_path / "release" / "bin" / "buildout")
    return tmp_path / "release"


@pytest.fixture
def partition(tmp_path: Path) -> Path:
    (tmp_path / "partition").mkdir()
    (tmp_path / "partition" / "buildout.cfg").write_text("[buildout]\n")
    return tmp_path / "partition"


def job_of(release: Path, partition: Path) -> Job:
    profile = str(partition / "buildout.cfg")
    return Job("instance", str(partition), profile, log="", own=brought_buildout(str(release)))


def test_which_program_is_brought(tmp_path: Path, release: Path) -> None:
    assert brought_buildout(str(release)) == str(release / "bin" / "buildout")
    (release / "bin" / "buildout").chmod(0o644)
    assert brought_buildout(str(release)) == "", "it is no program"
    program(release / "bin" / "bootstrap-2")
    assert brought_buildout(str(release)) == str(release / "bin" / "bootstrap-2")
    program(release / "bin" / "bootstrap-3")
    assert brought_buildout(str(release)) == "", "nobody says which bootstrap"
    (release / "bin").rename(release / "elsewhere")
    (release / "bin").symlink_to(release / "elsewhere")
    assert brought_buildout(str(release)) == "", "no link is followed"
    assert brought_buildout(str(tmp_path / "absent")) == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("#!/opt/p/bin/python3 -S\n", "/opt/p/bin/python3"),
        ('#!/bin/sh\nexec /very/long/python -S "$0" "$@"\n', "/very/long/python"),
        ("#!/bin/sh\n'''exec' /x \"$0\"\n", ""),
        ("\x7fELF", ""),
    ],
)
def test_the_interpreter_of_a_script(tmp_path: Path, text: str, found: str) -> None:
    assert interpreter(str(program(tmp_path / "bin" / "buildout", text))) == found
    assert interpreter(str(tmp_path / "absent")) == ""


def test_promises_run_with_the_python_of_a_release_that_brings_one(tmp_path: Path, release: Path) -> None:
    assert own_python(str(release)) == "", "it is ours"
    program(release / "bin" / "buildout", "#!/opt/other/bin/python -S\n")
    assert own_python(str(release)) == "/opt/other/bin/python"
    assert own_python(str(tmp_path)) == ""


def test_an_instance_is_processed_with_it(release: Path, partition: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (partition / ".installed.cfg").write_text("{}")
    result = execute(job_of(release, partition))
    assert (result.outcome, result.error) == ("done", None)
    arguments, mask, directory = (partition / "told").read_text().strip().split("|")
    assert arguments == f"-U buildout:directory={partition} -c {partition}/buildout.cfg"
    assert (mask, directory) == ("27", str(partition))
    assert not (partition / ".installed.cfg").exists(), "the memory of our engine means nothing to it"
    assert "a line of the log" in capfd.readouterr().err


def test_its_failure_is_a_failure(release: Path, partition: Path) -> None:
    (partition / "fail").touch()
    result = execute(job_of(release, partition))
    assert result.outcome == "failed"
    assert result.sentence == "The release's own buildout failed with status 3."
    assert result.error is not None
    assert result.error["reference"] == "own-buildout-failed"


def test_bootstrap_makes_the_buildout_of_the_partition(release: Path, partition: Path) -> None:
    made = "import os\nos.makedirs('sbin', exist_ok=True)\nopen('sbin/buildout', 'w').write(" + repr(SCRIPT) + ")\n"
    program(release / "bin" / "bootstrap", f"#!{sys.executable}\n{made}os.chmod('sbin/buildout', 0o755)\n")
    assert execute(job_of(release, partition)).outcome == "done"
    assert (partition / "told").exists()
    (release / "bin" / "bootstrap").write_text(f"#!{sys.executable}\nimport shutil; shutil.rmtree('sbin')\n")
    result = execute(job_of(release, partition))
    assert result.sentence == f"{partition}/sbin/buildout does not exist."


def test_a_release_builds_itself_unless_our_engine_built_it(release: Path, tmp_path: Path) -> None:
    def job() -> Job:
        made = build_job(directory=str(release), url="http://127.0.0.1:1/software.cfg", log="")
        lists = {"shared-part-list": "/a\n/b", "build-time-part-list": ""}
        return Job(**{**made.as_data(), "overrides": {"buildout": {**made.overrides["buildout"], **lists}}})

    (release / ".installed.cfg").write_text("{}")
    assert job().own == builds_itself(str(release)) == ""
    (release / ".installed.cfg").write_text("[buildout]\n")
    assert execute(job()).outcome == "done"
    assert (release / "buildout.cfg").read_text().split("\n") == [
        "[buildout]",
        "extends = http://127.0.0.1:1/software.cfg",
        *("shared-part-list =", "  /a", "  /b", "build-time-part-list =", ""),
    ]
    assert stat.S_IMODE((release / "buildout.cfg").stat().st_mode) == 0o640
    arguments = (release / "told").read_text().split("|")[0]
    cache = f"buildout:extends-cache={release}/extends-cache"
    assert arguments == f"-U {cache} buildout:directory={release} -N -c {release}/buildout.cfg"
    assert os.path.isdir(release / "extends-cache")
    (release / "buildout.cfg").write_text("changed by hand")
    execute(job())
    assert (release / "buildout.cfg").read_text() == "changed by hand"
