"""The recipe ``egg``: programs of a real environment, made by the recipe ``venv`` from wheels of the tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slapos.build.store.store import Store
from slapos.system.processes import run
from tests.unit.build.profiles import outcomes_of
from tests.unit.build.sources import build, built, failure, only_wheels_of
from tests.unit.build.test_venv import ANY, wheel

pytestmark = ANY
MAIN = "import sys\n\n\ndef tell(*given, **named):\n    print(given, named, getattr(sys, 'said', ''), sys.argv[1:])\n"


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``tools`` has the distributions ``answer`` and ``other``; ``more`` holds a module of no distribution."""
    wheels = only_wheels_of(tmp_path / "wheels", monkeypatch)
    (tmp_path / "requirements.txt").write_text("".join(wheel(wheels, name) for name in ("answer", "other")))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "teller.py").write_text(MAIN)
    return tmp_path


def profile(more: str) -> str:
    return f"""[buildout]
parts = programs
[tools]
recipe = hyperopenx:venv
requirements = ${{:_profile_base_location_}}/requirements.txt
[programs]
recipe = hyperopenx:egg
venv = ${{tools:location}}
{more}"""


def test_chosen_and_renamed_scripts_run_from_the_store(release: Path) -> None:
    result = build(release, profile("eggs = answer other\nscripts = answer=reply other\n"))
    assert result.outcome == "done", result.error
    location = built(release, "programs")
    assert sorted(os.listdir(location / "bin")) == ["other", "reply"]
    assert run([f"{location}/bin/reply"]).text == "answer 1.0\n"
    assert run([f"{location}/bin/other"]).text == "other 1.0\n"
    record = next(
        item.record for item in Store((str(release / "store"),)).parts() if item.record.inputs.part == "programs"
    )
    assert [name.split("/")[0] for name in record.references] == ["tools"]


def test_all_scripts_of_a_distribution_and_none(release: Path) -> None:
    assert build(release, profile("eggs = answer\n")).outcome == "done"
    assert os.listdir(built(release, "programs") / "bin") == ["answer"]
    place = release / "work" / "none"
    text = profile(f"eggs = answer\nscripts =\ninterpreter = py\nlocation = {place}\n")
    assert build(release, text).outcome == "done"
    assert os.listdir(place / "bin") == ["py"]
    assert run([f"{place}/bin/py", "-c", "import answer; answer.main()"]).text == "answer 1.0\n"


def test_entry_points_arguments_paths_and_initialization(release: Path) -> None:
    more = f"""entry-points = tell=teller:tell
interpreter = py
extra-paths = {release}/more
arguments = 1, word="two"
initialization =
  if True:
      sys.said = "before"
location = {release}/work/a place with blanks
"""
    result = build(release, profile(more))
    assert result.outcome == "done", result.error
    programs = release / "work" / "a place with blanks" / "bin"
    assert run([f"{programs}/tell", "x y"]).text == "(1,) {'word': 'two'} before ['x y']\n"
    assert run([f"{programs}/py", "-c", "import teller; print(teller.__file__)"]).text == f"{release}/more/teller.py\n"


def test_an_interpreter_with_a_path_that_the_kernel_does_not_take(release: Path) -> None:
    deep = release / ("a directory with blanks " + "x" * 100)
    more = f"eggs = answer\nlocation = {release}/work/here\n"
    text = profile(more).replace("[programs]", f"location = {deep}\n[programs]")
    assert build(release, text).outcome == "done"
    assert run([f"{release}/work/here/bin/answer"]).text == "answer 1.0\n"


def test_another_version_in_a_private_environment(release: Path) -> None:
    more = f"eggs = answer\nlocation = {release}/work/here\n"
    text = profile(more).replace("[programs]", f"location = {release}/work/tools\n[programs]")
    assert outcomes_of(build(release, text)) == {"tools": "installed", "programs": "installed"}
    assert outcomes_of(build(release, text)) == {"tools": "kept", "programs": "kept"}
    (release / "requirements.txt").write_text(wheel(release / "wheels", "answer", "2.0"))
    assert outcomes_of(build(release, text)) == {"tools": "installed", "programs": "installed"}
    assert run([f"{release}/work/here/bin/answer"]).text == "answer 2.0\n"


@pytest.mark.parametrize(
    ("more", "reference", "word"),
    [
        ("", "missing-option", "entry-points"),
        ("eggs = nowhere", "missing-egg", "nowhere"),
        ("eggs = answer\nscripts = nothing", "missing-program", "'nothing' is no program of answer"),
        ("eggs = answer\nscripts = answer=../../escape", "invalid-name", "../../escape"),
        ("eggs = answer other\nscripts = answer=x other=x", "conflicting-files", "x is the name"),
        ("eggs = answer\ninterpreter = answer", "conflicting-files", "answer"),
        ("eggs = answer\ninterpreter = a/b", "invalid-name", "a/b"),
        ("entry-points = tell", "invalid-option", "name=module:attribute"),
        ("entry-points = tell=os:system('x')", "invalid-option", "name=module:attribute"),
        ("eggs = answer\narguments = 1 +", "invalid-option", "is no Python"),
        ("eggs = answer\ninitialization = def", "invalid-option", "is no Python"),
        ("eggs = answer\npromises = @@LOCATION@@/bin/gone", "broken-promise", "gone"),
    ],
)
def test_mistakes(release: Path, more: str, reference: str, word: str) -> None:
    error = failure(build(release, profile(more)))
    assert error.reference == reference, error.message
    assert word in f"{error.message} {error.hint}"
    assert not list((release / "store").glob("programs/*"))


def test_what_is_no_environment(tmp_path: Path) -> None:
    text = f"[buildout]\nparts = programs\n[programs]\nrecipe = hyperopenx:egg\nvenv = {tmp_path}\neggs = answer\n"
    error = failure(build(tmp_path, text))
    assert (error.reference, "no Python environment" in error.message) == ("missing-file", True)
