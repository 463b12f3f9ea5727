"""Real recipes of other people, brought by pip, in builds and instances as the node runs them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from slapos.build.fetch.profiles import ProfileReader
from slapos.build.job import Job, Result
from slapos.build.own_buildout import brought_buildout, interpreter
from slapos.build.profile.buildout import Buildout
from slapos.build.profile.install import Report, install
from slapos.build.profile.names import RecipeTable
from slapos.build.release import build_job
from slapos.build.run import execute
from slapos.system.processes import check_run

CACHE = str(Path(os.environ.get("TMPDIR", "/tmp")) / f"hyperopenx-pip-{os.getuid()}")
"""What pip fetched for an earlier test serves the next one."""


class NoneOfOurs(RecipeTable):
    """Every name is of its own distribution, also those that ours serve."""

    def find(self, name: str, origin: Any, section: str) -> type:
        return self.foreign(name, origin, section)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def process(work: Path, text: str, **given: Any) -> Report:
    profile = work.parent / "profile.cfg"
    profile.write_text(f"[buildout]\ndownload-cache = {CACHE}\n{text}")
    table = NoneOfOurs()
    return install(
        Buildout(profile=str(profile), directory=str(work), read=ProfileReader(), recipes=table, overrides=given)
    )


def outcomes(report: Report) -> dict[str, str]:
    assert not report.errors, [error.as_data() for error in report.errors]
    return {part.part: part.outcome for part in report.parts}


THREE = """parts = command collective template jinja
[command]
recipe = plone.recipe.command
command = echo one >> ${buildout:directory}/commands
update-command = echo again >> ${buildout:directory}/commands
stop-on-error = true
location = ${buildout:directory}/commands
[collective]
recipe = collective.recipe.template
inline =
  made from ${command:location} and $${section}
section = an option
output = ${buildout:directory}/collective
[template]
recipe = slapos.recipe.template
url = ${buildout:directory}/../t.in
output = ${buildout:directory}/template
[jinja]
recipe = slapos.recipe.template:jinja2
inline = {{ given.text }} {{ given.list | length }} {{ path }} {{ whole['data']['text'] }}
context =
  key given data:data
  key path template:output
  section whole data
output = ${buildout:directory}/jinja
"""
HOSTILE = "${buildout:directory} $${x} %(y)s é"


def test_recipes_of_the_package_index_do_their_work(work: Path) -> None:
    (work.parent / "t.in").write_text("#!/bin/sh\necho ${buildout:directory} $${HOME} $$\n")
    given = {"data": {"data": {"text": HOSTILE, "list": [1, 2]}}}
    assert set(outcomes(process(work, THREE, **given)).values()) == {"installed"}
    assert (work / "commands").read_text() == "one\n"
    assert (work / "collective").read_text() == f"made from {work}/commands and an option"
    assert (work / "template").read_text() == f"#!/bin/sh\necho {work} ${{HOME}} $\n"
    assert os.access(work / "template", os.X_OK)
    assert (work / "jinja").read_text() == f"{HOSTILE} 2 {work}/template {HOSTILE}"
    assert set(outcomes(process(work, THREE, **given)).values()) == {"kept"}
    assert (work / "commands").read_text() == "one\nagain\n"
    assert outcomes(process(work, "parts =")) == {}
    assert sorted(path.name for path in work.iterdir() if path.is_file()) == [".installed.cfg"]


def test_a_command_that_fails_is_said_with_its_place(work: Path) -> None:
    text = "parts = a\n[a]\nrecipe = plone.recipe.command\ncommand = exit 3\nstop-on-error = true\n"
    [error] = process(work, text).errors
    assert (error.reference, error.context["line"]) == ("recipe-refused", 5)
    assert "Non zero exit code (3) while running command." in error.message


EGGS = """
parts = egg custom develop
[egg]
recipe = zc.recipe.egg
eggs = six
interpreter = python-of-release
entry-points = say=builtins:print
arguments = 1, 2
initialization = print("prepared")
scripts = say
[develop]
recipe = zc.recipe.egg:develop
setup = ../source
[custom]
recipe = zc.recipe.egg:custom
egg = plone.recipe.command
[versions]
six = 1.16.0
"""


def test_eggs_scripts_develop_and_custom(work: Path) -> None:
    source = work.parent / "source"
    source.mkdir()
    (source / "setup.py").write_text("from setuptools import setup\nsetup(name='own', version='7', py_modules=['own'])")
    (source / "own.py").write_text("where = __file__\n")
    assert set(outcomes(process(work, EGGS)).values()) == {"installed"}
    [six] = (work / "eggs").glob("six-1.16.0-py3*.egg")  # the version of the profile
    code = "import six; print(six.__version__, six.__file__)"
    python = check_run([str(work / "bin" / "python-of-release"), "-c", code]).text.split()
    assert python == ["prepared", "1.16.0", f"{six}/six.py"]
    assert check_run([str(work / "bin" / "say")]).text == "prepared\n1 2\n"
    assert list((work / "develop-eggs").glob("own*")), "the source is used where it lies"
    assert list((work / "develop-eggs").glob("plone.recipe.command-*")), "built from source"
    assert outcomes(process(work, EGGS))["egg"] == "kept"


RELEASE = """[buildout]
parts = eggs instance
[eggs]
recipe = zc.recipe.egg
eggs =
  collective.recipe.template
  {eggs}
[instance]
recipe = hyperopenx:template
output = ${{buildout:directory}}/instance.cfg
inline =
  [buildout]
  parts = hello
  eggs-directory = ${{buildout:eggs-directory}}
  develop-eggs-directory = ${{buildout:develop-eggs-directory}}
  [hello]
  recipe = collective.recipe.template
  inline = hello $${{slap-connection:partition-id}}
  output = $${{buildout:directory}}/hello
"""


def build(tmp_path: Path, eggs: str) -> tuple[Path, Result]:
    directory = tmp_path / "release"
    directory.mkdir(exist_ok=True)
    (tmp_path / "software.cfg").write_text(RELEASE.format(eggs=eggs))
    job = build_job(directory=str(directory), url=str(tmp_path / "software.cfg"), log="", download_cache=CACHE)
    return directory, execute(job)


def instantiate(tmp_path: Path, release: Path, table: RecipeTable | None = None) -> tuple[Path, Result]:
    partition = tmp_path / "partition"
    partition.mkdir(exist_ok=True)
    tail = "[buildout]\noffline = true\n[slap-connection]\npartition-id = slappart0\n"
    (partition / "buildout.cfg").write_text((release / "instance.cfg").read_text() + "\n" + tail)
    own = brought_buildout(str(release))
    job = Job("instance", str(partition), str(partition / "buildout.cfg"), log="", own=own)
    return partition, execute(job, recipes=table)


def test_an_instance_takes_recipes_from_its_release_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, result = build(tmp_path, "")
    assert result.outcome == "done", result.error
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/nobody")
    partition, result = instantiate(tmp_path, release, NoneOfOurs())
    assert result.outcome == "done", result.error
    assert (partition / "hello").read_text() == "hello slappart0"
    assert not (partition / "eggs").exists()


def test_a_release_that_brings_its_own_buildout_runs_with_it(tmp_path: Path) -> None:
    """zc.buildout as an egg of the release; its state is its own kind, and ours comes back when it goes."""
    release, result = build(tmp_path, "zc.buildout")
    assert result.outcome == "done", result.error
    program = brought_buildout(str(release))
    assert (program, interpreter(program)) == (str(release / "bin" / "buildout"), sys.executable)
    partition, result = instantiate(tmp_path, release)
    assert result.outcome == "done", result.error
    assert (partition / "hello").read_text() == "hello slappart0"
    assert (partition / ".installed.cfg").read_text().startswith("[buildout]")
    os.unlink(program)
    partition, result = instantiate(tmp_path, release)
    assert result.outcome == "done", result.error
    assert (partition / ".installed.cfg").read_text().startswith("{")


COOKBOOK = """parts = directories wrapper sixtunnel promise user
[directories]
recipe = slapos.cookbook:mkdirectory
bin = ${buildout:directory}/bin
etc = ${buildout:directory}/etc
[wrapper]
recipe = slapos.cookbook:wrapper
command-line = /bin/echo said by ${user:pw-uid}
wrapper-path = ${directories:bin}/say
[sixtunnel]
recipe = slapos.cookbook:ipv6toipv4
runner-path = ${directories:bin}/tunnel
6tunnel-path = /bin/echo
shell-path = /bin/sh
ipv4 = 127.0.0.1
ipv6 = ::1
ipv4-port = 1
ipv6-port = 2
[promise]
recipe = slapos.cookbook:promise.plugin
eggs = slapos.cookbook
module = slapos.recipe.librecipe
output = ${directories:etc}/check.py
config-port = 80
[user]
recipe = slapos.cookbook:userinfo
"""


def test_the_real_cookbook_meets_our_modules(work: Path) -> None:
    """It requires slapos.core: our modules stand for it, the real one is never fetched."""
    assert set(outcomes(process(work, COOKBOOK)).values()) == {"installed"}
    eggs = sorted(path.name for path in (work / "eggs").glob("slapos.*"))
    assert [name.split("-")[0] for name in eggs] == ["slapos.cookbook", "slapos.core"], eggs
    assert (work / "eggs" / eggs[1] / "slapos" / "slap").is_symlink()
    assert check_run([str(work / "bin" / "say")]).text == f"said by {os.getuid()}\n"
    assert "127.0.0.1" in check_run([str(work / "bin" / "tunnel")]).text
    assert "slapos.cookbook-" in (work / "etc" / "check.py").read_text()
    assert set(outcomes(process(work, COOKBOOK)).values()) == {"kept"}
