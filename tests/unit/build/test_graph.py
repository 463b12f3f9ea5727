"""What a profile would do, told without doing it (trap 5)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slapos.build.describing import read_graph
from slapos.build.fetch.profiles import ProfileReader
from slapos.build.graph import Graph
from slapos.build.plan import Observed, is_plain, make_plan
from slapos.build.profile.names import RecipeTable
from slapos.build.recipe import Description, OptionsView, Recipe
from tests.unit.build.profiles import TABLE, write_profile


class Asks(Recipe):
    """Would ask the master when its section is initialised."""

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        return Description({"title": options.text("title")})

    def setup(self) -> None:
        raise AssertionError("a plan asks nobody")

    def install(self) -> list[str]:
        raise AssertionError("a plan installs nothing")


def graph(tmp_path: Path, text: str, **arguments: Any) -> Graph:
    table = RecipeTable({**TABLE, "test:asks": Asks})
    directory = str(tmp_path / "never")
    return read_graph(
        profile=write_profile(tmp_path, text), directory=directory, read=ProfileReader(), recipes=table, **arguments
    )


def test_parts_outputs_uses_and_origins(tmp_path: Path) -> None:
    parts = graph(
        tmp_path,
        """
        [buildout]
        parts = page bad
        [ask]
        recipe = test:asks
        title = T
        [theirs]
        recipe = slapos.cookbook:thing
        x = 1
        [page]
        recipe = test:write
        text = ${ask:title} ${ask:connection-url} ${theirs:location} ${theirs:x}
        [bad]
        recipe = test:write
        text = ${nobody:x}
        """,
    ).parts
    assert [part.name for part in parts] == ["ask", "theirs", "page", "bad"]
    ask, theirs, page, bad = parts
    assert page.options["text"] == "T ${ask:connection-url} ${theirs:location} 1"
    assert page.outputs == {"path": f"{tmp_path}/never/page"}
    assert page.uses == ("ask", "theirs")
    assert str(page.origin) == f"{tmp_path}/profile.cfg:11"
    assert (theirs.opaque, ask.opaque) == (True, False)
    assert "names a section that does not exist" in bad.problem
    assert f"{tmp_path}/profile.cfg:15" in bad.problem
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("text", ["[buildout]\nparts = a\n[a]\nrecipe = test:write\ntext = ${b:nothing}\n[b]\nx = 1\n"])
def test_a_missing_option_is_a_problem_not_an_unknown(tmp_path: Path, text: str) -> None:
    assert "names an option that [b] does not have" in graph(tmp_path, text).parts[0].problem


def test_each_option_has_the_lines_that_gave_it_its_value(tmp_path: Path) -> None:
    write_profile(tmp_path, "[a]\nrecipe = test:write\ntext = one\nother = x\n", "base.cfg")
    text = "[buildout]\nextends = base.cfg\nparts = a\n[a]\ntext +=\n  two\n"
    node = graph(tmp_path, text).parts[0]
    assert node.options["text"] == "one\ntwo"
    assert list(map(str, node.origins["text"])) == [f"{tmp_path}/base.cfg:3", f"{tmp_path}/profile.cfg:5"]
    assert str(node.place_of("other")) == f"{tmp_path}/base.cfg:4"
    assert node.place_of("path") is None  # the recipe gives it


LINKED = """
[buildout]
parts = top
[low]
recipe = test:write
[flags]
library = -L${:place}
place = ${low:path}
[macro]
text = ${flags:library}
[mid]
recipe = test:write
<= macro
[late]
recipe = test:write
=> low
[top]
recipe = test:write
text = ${mid:path}
  ${late:path}
"""


def test_links_lead_to_parts_through_sections_and_macros(tmp_path: Path) -> None:
    made = graph(tmp_path, LINKED)
    assert {node.name: node.needs for node in made.parts} == {
        "low": (),
        "mid": ("low",),
        "late": ("low",),
        "top": ("late", "mid"),
    }
    mid, late = made.node("mid"), made.node("late")
    assert mid is not None and late is not None
    assert mid.links[0].through == ("flags:library", "flags:place", "low:path")
    assert mid.links[0].sentence == (
        f"option `text` refers to ${{flags:library}}, ${{flags:place}}, ${{low:path}} ({tmp_path}/profile.cfg:10)"
    )
    assert late.links[0].sentence == f"it comes after [low] ({tmp_path}/profile.cfg:16)"
    assert made.chain_to("low") in {("top", "late", "low"), ("top", "mid", "low")}
    assert made.users("low") == ("mid", "late") or made.users("low") == ("late", "mid")
    assert made.needed_for("mid") == {"mid", "low"}
    assert made.listed["top"] is not None and str(made.listed["top"]) == f"{tmp_path}/profile.cfg:3"


def test_options_of_the_same_part_that_an_option_names(tmp_path: Path) -> None:
    text = "[buildout]\nparts = a\n[a]\nrecipe = test:write\ntext = ${:x} ${a:y}\nx = 1\ny = ${:x}\n"
    assert graph(tmp_path, text).parts[0].reads == {"text": ("x", "y"), "y": ("x",)}


def test_a_graph_is_data(tmp_path: Path) -> None:
    made = graph(tmp_path, LINKED)
    assert Graph.from_data(json.loads(json.dumps(made.as_data()))) == made


@pytest.mark.parametrize("recipe", ["test:write", "somebody.else:thing"])
def test_a_cycle_of_parts_names_all_of_them_and_the_line(tmp_path: Path, recipe: str) -> None:
    text = f"""
    [buildout]
    parts = a b c
    [a]
    recipe = {recipe}
    text = ${{b:path}}
    [b]
    recipe = {recipe}
    text = ${{c:path}}
    [c]
    recipe = {recipe}
    text = ${{a:path}}
    """
    problem = graph(tmp_path, text).parts[0].problem
    assert problem.startswith(f"{tmp_path}/profile.cfg:12 [c] text: ${{a:path}} needs the recipe of [a]")
    assert problem.endswith("a cycle (a → b → c → a).")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[buildout]\nparts =\n  a\n", "profile.cfg:2 [buildout] parts: names the part [a], which does not exist."),
        ("[buildout]\nparts = a\n[a]\nx = 1\n", "2 [buildout] parts: names the part [a], which has no recipe."),
        ("[buildout]\nparts = a\n[a]\n<= b\n", "profile.cfg:4 [a]: <= names the section [b], which does not exist."),
        (
            "[buildout]\nparts = a\n[a]\nrecipe = test:write\n=> b\n",
            "profile.cfg:5 [a]: => names the section [b], which",
        ),
    ],
)
def test_a_part_that_is_none_is_a_problem_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    made = graph(tmp_path, text)
    assert sentence in made.parts[0].problem
    error = made.first_error()
    assert error is not None and error.message == made.parts[0].problem
    assert error.context["file"] == f"{tmp_path}/profile.cfg"


def test_what_runs_without_a_sandbox_is_marked(tmp_path: Path) -> None:
    """Without a store, where every part is private; in a store the first is confined."""
    compiled = "[compiled]\nrecipe = hyperopenx:cmmi\nurl = /source.tar\nsha256 = " + "0" * 64
    text = f"""[buildout]
parts = compiled page asked theirs
{compiled}
[page]
recipe = hyperopenx:template
inline = x
output = ${{buildout:directory}}/page
[asked]
recipe = plone.recipe.command
command = true
[theirs]
recipe = their.own.egg
"""
    found = graph(tmp_path, text)
    assert {node.name: node.unconfined for node in found.parts} == {
        "compiled": True,
        "page": False,
        "asked": True,
        "theirs": True,
    }
    plan = make_plan(found, Observed())
    marked = [line.part for line in plan.lines if line.reason.endswith("without a sandbox")]
    assert marked == [line.part for line in plan.lines if line.unconfined]
    assert [line.part for line in plan.lines if is_plain(found, line)] == ["page"]
    stored = graph(tmp_path, text, overrides={"buildout": {"store": str(tmp_path / "store")}})
    assert [node.name for node in stored.parts if node.unconfined] == ["asked", "theirs"]
