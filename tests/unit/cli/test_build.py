"""``slapos build --plan``, ``--graph`` and ``slapos why`` on the command line; nothing is built here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lxml import etree

from slapos.build.store.record import PartRecord, write_record
from slapos.cli import main as entry
from slapos.cli.plans import size
from tests.unit.build.profiles import write_profile

PROFILE = """
[buildout]
parts = tool file
[tool]
recipe = hyperopenx:cmmi
url = file:///nowhere/tool.tar.gz
sha256 = {:064d}
[file]
recipe = hyperopenx:template
inline = x
output = ${{buildout:directory}}/file
"""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HYPEROPENX_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("HYPEROPENX_STORE", raising=False)
    return tmp_path / "state"


def release(tmp_path: Path, text: str = PROFILE.format(1)) -> str:
    return write_profile(tmp_path, text, "software/mine/software.cfg")


def test_a_plan_makes_nothing(tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["build", release(tmp_path), "--plan"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "mine",
        "├── tool  build  it was never built here  ↓ ?",
        "└── 1 is made in the release's directory: file",
        "",
        "1 to build, 1 made in the release's directory. How long it takes is not known: none of it was built before.",
    ]
    assert not state.exists()


def test_a_plan_is_data(tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = release(tmp_path)
    assert entry.run(["build", profile, "--plan", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    tool, file = told["parts"]
    assert (tool["state"], file["state"]) == ("build", "private")
    assert tool["location"] == f"{state}/build/store/tool/{tool['digest']}"
    (graph,) = [part for part in told["graph"]["parts"] if part["name"] == "tool"]
    assert graph["origins"]["url"] == [{"file": profile, "line": 6}]
    assert graph["sources"][0]["url"] == "file:///nowhere/tool.tar.gz"


def test_stores_may_be_named(tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["build", release(tmp_path), "--plan", "--format", "json", "--store", str(tmp_path / "mine")]
    assert entry.run(words) == 0
    graph = json.loads(capsys.readouterr().out)
    tool = graph["parts"][0]
    assert tool["location"].startswith(f"{tmp_path}/mine/tool/")
    from slapos.build.store.inputs import Inputs

    inputs = Inputs.from_data(graph["graph"]["parts"][0]["inputs"])
    (tmp_path / "mine" / "tool" / tool["digest"]).mkdir(parents=True)
    write_record(tool["location"], PartRecord(inputs=inputs, built_at=0.0))
    assert entry.run(words) == 0
    assert json.loads(capsys.readouterr().out)["parts"][0]["state"] == "present"


def test_a_graph_is_a_picture(tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "plan.svg"
    assert entry.run(["build", release(tmp_path), "--graph", str(picture)]) == 0
    assert capsys.readouterr().out.startswith(f"{picture}: 1 to build")
    assert etree.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"


WRONG = [
    ("[buildout]\nparts = a\n[a]\nrecipe = hyperopenx:cmmi\nx = ${no:x}\n", "5 [a] x: ${no:x} names"),
    ("[buildout]\nparts = a\n", "2 [buildout] parts: names the part [a], which does not exist"),
    ("[buildout]\nextends = gone.cfg\n", "2 [buildout] extends: The profile"),
    (
        "[buildout]\nparts = a\n[a]\nrecipe = hyperopenx:cmmi\nx = ${b:location}\n"
        "[b]\nrecipe = hyperopenx:cmmi\nx = ${a:location}\n",
        "8 [b] x: ${a:location} needs the recipe of [a], which itself needs [b]: a cycle (a → b → a)",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), WRONG)
def test_a_wrong_profile_is_an_error_with_its_line(
    tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str], text: str, sentence: str
) -> None:
    profile = release(tmp_path, text)
    assert entry.run(["build", profile, "--plan"]) == 2
    assert f"{profile}:{sentence}" in capsys.readouterr().err
    assert entry.run(["build", profile, "--plan", "--format", "json"]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["context"]["file"] == profile


def test_a_wrong_part_does_not_hide_the_others(tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = PROFILE.format(1).replace("parts = tool file", "parts = tool file bad")
    assert (
        entry.run(["build", release(tmp_path, f"{text}[bad]\nrecipe = hyperopenx:cmmi\nx = ${{no:x}}\n"), "--plan"])
        == 2
    )
    out = capsys.readouterr().out
    assert "tool  build" in out and "bad  problem" in out and "1 with a problem" in out


@pytest.mark.parametrize("words", [["build", "nowhere", "--plan"], ["why", "x", "nowhere"], ["build", "nowhere"]])
def test_an_unknown_release_is_told(state: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert entry.run(words) == 2
    assert "unknown-release" in capsys.readouterr().err


@pytest.mark.parametrize(("amount", "text"), [(0, "0 B"), (999, "999 B"), (52_100_000, "52.1 MB"), (250_000, "250 kB")])
def test_sizes_for_people(amount: int, text: str) -> None:
    assert size(amount) == text


def test_a_second_build_finds_all_in_place_without_the_engine(
    tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "[buildout]\nparts = file\n[file]\nrecipe = hyperopenx:template\ninline = x\n"
    text += "output = ${buildout:directory}/f\n"
    words = ["build", release(tmp_path, text), "--directory", str(tmp_path / "made")]
    assert entry.run(words) == 0
    first = capsys.readouterr().out
    assert first == f"{tmp_path}/made: 1 parts are in place.\n"
    made = (tmp_path / "made" / ".completed").stat().st_ino
    with monkeypatch.context() as without:
        without.setattr("slapos.cli.site.builds.build_release", None)
        assert entry.run(words) == 0
    assert capsys.readouterr().out == first
    assert (tmp_path / "made" / ".completed").stat().st_ino == made
    (tmp_path / "made" / "f").unlink()
    assert entry.run(words) == 0
    assert (tmp_path / "made" / "f").read_text() == "x"
