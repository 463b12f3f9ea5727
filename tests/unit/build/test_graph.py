"""What a profile would do, told without doing it (trap 5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slapos.build.fetch.profiles import ProfileReader
from slapos.build.graph import Graph, read_graph
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
