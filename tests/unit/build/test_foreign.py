"""Recipes of other people: in an interpreter of their own, with the eggs of the release, never in ours."""

from __future__ import annotations

import os
import signal
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.build.foreign import stand_in
from slapos.build.foreign.eggs import specifier
from slapos.build.profile.names import RecipeTable
from slapos.build.profile.state import read_state
from slapos.system.proctable import Process, descendants, is_alive, process_table
from slapos.testing.waiting import wait_for
from tests.unit.build.profiles import TABLE, listing, make_buildout, outcomes, run_profile

SOURCE = """
import logging, os, sys
import zc.buildout

class Recipe:
    def __init__(self, buildout, name, options):
        self.buildout, self.name, self.options = buildout, name, options
        if "tell" in options:
            options["process"] = str(os.getpid())
        options["version"] = VERSION
        options["data"] = {"ports": [80, 443], "text": "${buildout:directory}", "set": {"b", "a"}}
        options["hostile"] = "${buildout:directory} $${x} %(a)s"
        for other in options.get("ask", "").split():
            section, option = other.split(":")
            options["asked-" + section] = buildout[section][option]
        if "init" in options:
            exec(options["init"])

    def install(self):
        exec(self.options.get("code", ""))
        path = os.path.join(self.buildout["buildout"]["directory"], self.name)
        with open(path, "w") as stream:
            stream.write(self.options.get("text", ""))
        return self.options.created(path)

    def update(self):
        with open(os.path.join(self.buildout["buildout"]["directory"], "updates"), "a") as stream:
            stream.write(self.name + os.linesep)

class Refusing:
    def __init__(self, buildout, name, options):
        raise zc.buildout.UserError("This recipe refuses.")

def gone(name, options):
    with open(os.path.join(options["where"], "gone"), "a") as stream:
        stream.write(name + " " + options["version"] + os.linesep)
"""
ENTRIES = """[zc.buildout]
default = field_thing:Recipe
refusing = field_thing:Refusing
[zc.buildout.uninstall]
default = field_thing:gone
"""


def make_wheel(folder: Path, version: str = "1.0", needs: str = "", name: str = "field.thing") -> None:
    stem = f"{name.replace('.', '_')}-{version}"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        module = name.replace(".", "_")
        wheel.writestr(f"{module}.py", f"VERSION = {version!r}\n{SOURCE}")
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {need}\n" for need in needs.split())
        files = {
            "METADATA": metadata,
            "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "entry_points.txt": ENTRIES,
            "top_level.txt": f"{module}\n",
        }
        for file, text in files.items():
            wheel.writestr(f"{stem}.dist-info/{file}", text)
        record = [f"{module}.py", *(f"{stem}.dist-info/{file}" for file in [*files, "RECORD"])]
        wheel.writestr(f"{stem}.dist-info/RECORD", "".join(f"{file},,\n" for file in record))


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of wheels, the only place where pip looks."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    make_wheel(tmp_path / "wheels")
    yield tmp_path / "wheels"


def profile(tmp_path: Path, text: str, main: str = "") -> str:
    return f"[buildout]\nfind-links = {tmp_path}/wheels\n{main}\n{text}"


ONE = "parts = a\n[a]\nrecipe = field.thing\ntext = {text}\nwhere = ${{buildout:directory}}\n"


def run(tmp_path: Path, text: str) -> dict[str, str]:
    report = run_profile(tmp_path, profile(tmp_path, text), recipes=RecipeTable(TABLE))
    assert not report.errors, [error.as_data() for error in report.errors]
    return outcomes(report)


def test_installed_kept_updated_and_gone(tmp_path: Path, wheels: Path) -> None:
    work = tmp_path / "work"
    assert run(tmp_path, ONE.format(text="hello")) == {"a": "installed"}
    assert (work / "a").read_text() == "hello"
    assert [egg.name.partition("-py")[0] for egg in (work / "eggs").iterdir()] == ["field.thing-1.0"]
    assert listing(tmp_path) == [".installed.cfg", "a", "bin", "develop-eggs", "eggs", "parts"]
    wheels.joinpath("field_thing-1.0-py3-none-any.whl").unlink()  # the egg is enough now
    assert run(tmp_path, ONE.format(text="hello")) == {"a": "kept"}
    assert (work / "updates").read_text() == "a\n"
    assert not (work / "gone").exists()
    assert run(tmp_path, ONE.format(text="other")) == {"a": "installed"}
    assert (work / "gone").read_text() == "a 1.0\n", "its recipe is told before the part changes"
    assert run(tmp_path, "parts =") == {}
    assert (work / "gone").read_text() == "a 1.0\na 1.0\n", "and before it goes"
    assert not (work / "a").exists()


def test_outputs_are_data_for_everybody(tmp_path: Path, wheels: Path) -> None:
    text = """parts = b
    [a]
    recipe = field.thing
    tell = yes
    [b]
    recipe = test:write
    text = ${a:data}
    alone = ${a:hostile}
    inside = <${a:hostile}>
    """.replace("\n    ", "\n")
    buildout = make_buildout(tmp_path, profile(tmp_path, text), recipes=RecipeTable(TABLE))
    directory = "${buildout:directory}"
    try:
        assert buildout["a"]["data"] == {"ports": [80, 443], "text": directory, "set": ["a", "b"]}
        assert buildout["b"]["alone"] == directory + " $${x} %(a)s"
        assert buildout["b"]["inside"] == f"<{directory} $${{x}} %(a)s>"
        assert int(buildout["a"]["process"]) != os.getpid()
        assert "field_thing" not in sys.modules
    finally:
        buildout.close()


def test_a_recipe_asks_for_others_of_both_kinds_while_it_is_made(tmp_path: Path, wheels: Path) -> None:
    text = """parts = a
    [a]
    recipe = field.thing
    ask = b:asked-c ours:path
    tell = yes
    [b]
    recipe = field.thing
    ask = c:process
    [c]
    recipe = field.thing
    tell = yes
    [ours]
    recipe = test:write
    """.replace("\n    ", "\n")
    report = run_profile(tmp_path, profile(tmp_path, text), recipes=RecipeTable(TABLE))
    assert outcomes(report) == {"c": "installed", "b": "installed", "ours": "installed", "a": "installed"}
    options = read_state(str(tmp_path / "work" / ".installed.cfg")).parts
    assert options["a"].options["asked-b"] == options["c"].options["process"] == options["a"].options["process"]
    assert options["a"].options["asked-ours"] == str(tmp_path / "work" / "ours")


REFUSED = [
    ("recipe = field.thing:refusing", "recipe-refused", "This recipe refuses."),
    ("recipe = field.thing:nonsense", "recipe-refused", "has no recipe 'nonsense' (it has: default, refusing)"),
    ("recipe = field.thing\ninit = 1 / 0", "recipe-failed", "ZeroDivisionError: division by zero"),
    ("recipe = field.thing\ncode = sys.exit(3)", "recipe-failed", "SystemExit: 3"),
    ("recipe = field.thing\ncode = os._exit(3)", "recipe-ended", "The interpreter of field.thing ended."),
    ("recipe = field.thing\nask = a:nothing", "missing-option", "[a] nothing: is mandatory and missing."),
    ("recipe = field.thing\nask = nowhere:x", "invalid-profile", "nowhere"),
    ("recipe = field.thing\ninit = options['x'] = object()", "recipe-failed", "not object"),
    ("recipe = absent.thing", "no-distribution", "pip cannot bring absent.thing"),
    ("recipe = what is this", "unknown-recipe", "there is no recipe 'what is this:default'"),
]


@pytest.mark.parametrize(("text", "reference", "sentence"), REFUSED, ids=[f"{e[1]}-{i}" for i, e in enumerate(REFUSED)])
def test_failures_are_data_with_a_place(
    tmp_path: Path, wheels: Path, text: str, reference: str, sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = profile(tmp_path, f"parts = a after\n[a]\n{text}\n[after]\nrecipe = test:write\n")
    report = run_profile(tmp_path, whole, recipes=RecipeTable(TABLE))
    assert outcomes(report) == {"a": "failed", "after": "installed"}
    [error] = report.errors
    assert (error.reference, error.context["file"]) == (reference, str(tmp_path / "profile.cfg"))
    assert error.context["line"] >= 4
    assert sentence in error.message
    if reference == "recipe-failed":
        assert "Traceback" in capfd.readouterr().err


def test_what_cannot_be_had_is_asked_for_once(tmp_path: Path, wheels: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = "parts = a b c\n" + "".join(f"[{name}]\nrecipe = absent.thing\n" for name in "abc")
    report = run_profile(tmp_path, profile(tmp_path, text), recipes=RecipeTable(TABLE))
    assert [error.reference for error in report.errors] == ["no-distribution"] * 3
    assert capfd.readouterr().err.count("Getting absent.thing") == 1


def test_an_interrupt_ends_the_interpreter_at_its_work(tmp_path: Path, wheels: Path) -> None:
    text = "parts = a\n[a]\nrecipe = field.thing\ncode = import subprocess; subprocess.run(['sleep', '60'])\n"
    seen: list[Process | None] = []

    def interrupt() -> None:
        seen.append(wait_for(_sleeping, 60, "the command runs", until=lambda found: found is not None))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_profile(tmp_path, profile(tmp_path, text), recipes=RecipeTable(TABLE))
    thread.join()
    assert seen[0] is not None
    assert not is_alive(*seen[0].key)
    assert _sleeping() is None


def _sleeping() -> Process | None:
    """A descendant of ours whose own child is the command."""
    below = descendants(process_table(), os.getpid())
    commands = [other for other in below if other.name == "sleep"]  # a database of other tests is a descendant too
    return next((one for one in below if any(other.ppid == one.pid for other in commands)), None)


def test_waiting_of_an_other_part_comes_through_a_foreign_recipe(tmp_path: Path, wheels: Path) -> None:
    text = (
        "parts = a\n[a]\nrecipe = field.thing\nask = w:x\n[w]\nrecipe = test:wait\nearly = true\nfor = the database\n"
    )
    report = run_profile(tmp_path, profile(tmp_path, text), recipes=RecipeTable(TABLE))
    assert report.outcome == "waiting"
    assert "waiting for the database" in report.sentence


def test_versions_of_the_profile_decide_and_a_new_version_installs_again(tmp_path: Path, wheels: Path) -> None:
    make_wheel(wheels, "2.0")
    text = ONE.format(text="x") + "[versions]\nfield.thing = "
    run(tmp_path, text + "1.0")
    state = str(tmp_path / "work" / ".installed.cfg")
    assert read_state(state).parts["a"].options["version"] == "1.0"
    assert read_state(state).parts["a"].signature.endswith("field.thing==1.0")
    assert run(tmp_path, text + ">=2:whl") == {"a": "installed"}
    assert read_state(state).parts["a"].options["version"] == "2.0"


def test_offline_says_what_is_missing_and_what_to_do(tmp_path: Path, wheels: Path) -> None:
    text = profile(tmp_path, ONE.format(text="x"), "offline = true")
    [error] = run_profile(tmp_path, text, recipes=RecipeTable(TABLE)).errors
    assert error.reference == "recipe-refused"
    assert "We don't have a distribution for field.thing" in error.message
    assert "set eggs-directory to the release's" in error.hint
    run(tmp_path, ONE.format(text="x"))
    assert run_profile(tmp_path, text, recipes=RecipeTable(TABLE)).outcome == "done"


def test_slapos_core_is_never_fetched_our_modules_stand_for_it(tmp_path: Path, wheels: Path) -> None:
    make_wheel(wheels, needs="slapos.core>=1.20")
    for name in stand_in.NEEDS:
        make_wheel(wheels, "9.0", name=name)
    code = "import slapos.slap, slapos.grid.promise.generic as g; self.options['text'] = g.__file__"
    run(tmp_path, f"parts = a\n[a]\nrecipe = field.thing\ncode = {code}\n[versions]\nslapos.core = 1.22\n")
    assert (tmp_path / "work" / "a").read_text().endswith("slapos/grid/promise/generic.py")
    [egg] = (tmp_path / "work" / "eggs").glob("slapos.core-1.22-py3*.egg")
    assert (egg / "slapos" / "slap").resolve() == Path(stand_in.__file__).resolve().parents[2] / "slap"
    assert not (egg / "slapos" / "__init__.py").exists()


@pytest.mark.parametrize(
    ("version", "expected"), [("1.0", "==1.0"), (">= 2, <3", ">= 2, <3"), ("1.2:whl", "==1.2"), ("1+a.1", "==1+a.1")]
)
def test_versions_as_pip_reads_them(version: str, expected: str) -> None:
    assert specifier(version) == expected
