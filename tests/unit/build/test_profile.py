"""Evaluation: what stock buildout lacks or does twice (traps 1 and 2), and errors that name the place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slapos.build.profile.names import RecipeTable
from slapos.model.errors import NotFound, ProfileError
from tests.unit.build.profiles import TABLE, Give, make_buildout, write_profile


def test_trap_1_base_location_values_and_dumps(tmp_path: Path) -> None:
    """Stock: MissingOption, and ``TypeError: Option values must be strings``."""
    buildout = make_buildout(
        tmp_path,
        """
        [a]
        url = ${:_profile_base_location_}/a.in
        data = !json!{"ports": [80, 443], "text": "\\u0024\\u007bx:y\\u007d"}
        name = ${:_buildout_section_name_}
        [b]
        whole = ${a:data}
        inside = <${a:data}>
        """,
    )
    data = {"ports": [80, 443], "text": "${x:y}"}
    assert buildout["a"]["url"] == f"{tmp_path}/a.in"
    assert buildout["a"]["name"] == "a"
    assert buildout["b"]["whole"] == data
    assert buildout["b"]["inside"] == '<!json!{"ports": [80, 443], "text": "\\u0024\\u007bx:y\\u007d"}>'
    buildout["b"]["python"] = {"x": 1}
    assert buildout["b"]["python"] == {"x": 1}


@pytest.mark.parametrize(
    "value", ["${buildout:directory}", "%(__buildout_space_n__)s", "$${x}", "${", " lead", "a\nb", "!json!1", "{{ x }}"]
)
def test_trap_2_a_value_is_never_substituted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Stock gives the directory for ``${buildout:directory}``, two substitutions later."""
    monkeypatch.setattr(Give, "values", {"configuration.x": value})
    buildout = make_buildout(
        tmp_path,
        """
        [slap]
        recipe = test:give
        [one]
        command = echo ${slap:configuration.x}
        alone = ${slap:configuration.x}
        [two]
        command = ${one:command}!
        alone = ${one:alone}
        """,
    )
    assert buildout["two"]["command"] == f"echo {value}!"
    assert buildout["two"]["alone"] == value


def test_overrides_are_data(tmp_path: Path) -> None:
    buildout = make_buildout(tmp_path, "[a]\nx = 1\n", overrides={"a": {"x": "${b:c}"}, "new": {"y": " z\n"}})
    assert buildout["a"]["x"] == "${b:c}"
    assert buildout["new"]["y"] == " z\n"


def test_extends_macros_additions_and_their_origins(tmp_path: Path) -> None:
    write_profile(
        tmp_path,
        """
        [macro]
        file = ${:_profile_base_location_}/${:name}
        list =
          a
          b
        [plain]
        file = ${:_profile_base_location_}/plain
        list = a
        """,
        "stack/base.cfg",
    )
    buildout = make_buildout(
        tmp_path,
        """
        [buildout]
        extends = stack/base.cfg
        [mine]
        <= macro
        name = n
        list += c
        list -= a
        [plain]
        list += b
        """,
    )
    assert buildout["mine"]["list"] == "b\nc"
    assert buildout["plain"]["list"] == "a\nb"
    assert buildout["plain"]["file"] == f"{tmp_path}/stack/plain"
    assert buildout["mine"]["file"] == f"{tmp_path}/n", "a macro's base is that of the section that uses it"
    assert str(buildout["plain"].origin("list")) == f"{tmp_path}/profile.cfg:10"
    assert str(buildout["plain"].origin("file")) == f"{tmp_path}/stack/base.cfg:8"


ERRORS = [
    ("[a]\nx = ${b:y}\n[b]\nz = 1\n", "missing-option", 2, "x"),
    ("[a]\nx = ${bb:y}\n[b]\ny = 1\n", "missing-section", 2, "x"),
    ("[a]\nx = ${:y}\ny = ${b:z}\n[b]\nz = ${a:x}\n", "cycle", 2, "x"),
    ("[a]\nx = ${nocolon}\n", "invalid-reference", 2, "x"),
    ("[a]\nx = ${a:b:c}\n", "invalid-reference", 2, "x"),
    ("[a]\nx = 1\n<= b\n[b]\n<= a\n", "cycle", 3, ""),
    ("[a]\n<= nobody\n", "missing-section", 2, ""),
    ("[a]\nx = !json!{damaged\n", "damaged-dumps", 2, "x"),
    ("[a]\nrecipe = foreign.egg:thing\n", "unknown-recipe", 2, "recipe"),
    ("[a]\nrecipe = test:wait\nearly = true\n", "missing-option", 2, "for"),
    ("[a]\nrecipe = test:write\nx = ${b:path}\n[b]\nrecipe = test:write\ny = ${a:path}\n", "cycle", 6, "y"),
]


@pytest.mark.parametrize(("text", "reference", "line", "option"), ERRORS, ids=[f"{e[1]}-{e[2]}" for e in ERRORS])
def test_errors_name_file_line_section_option(
    tmp_path: Path, text: str, reference: str, line: int, option: str
) -> None:
    buildout = make_buildout(tmp_path, text)
    with pytest.raises(ProfileError) as caught:
        buildout["a"]
    error = caught.value
    assert (error.reference, error.context["line"]) == (reference, line), error.message
    assert error.context["option"] == option
    assert error.context["section"] in ("a", "b")
    assert error.context["file"] == f"{tmp_path}/profile.cfg"
    assert f"{tmp_path}/profile.cfg:{line}" in error.message


def test_similar_names_are_suggested(tmp_path: Path) -> None:
    buildout = make_buildout(tmp_path, "[a]\nx = ${b:locaton}\n[b]\nlocation = 1\n")
    with pytest.raises(ProfileError) as caught:
        buildout["a"]
    assert caught.value.hint == "Did you mean location?"


def test_extends_cycle_and_missing_profile(tmp_path: Path) -> None:
    write_profile(tmp_path, "[buildout]\nextends = profile.cfg\n", "other.cfg")
    with pytest.raises(ProfileError, match="extends itself") as caught:
        make_buildout(tmp_path, "[buildout]\nextends = other.cfg\n")
    assert caught.value.context["line"] == 2
    with pytest.raises(ProfileError, match="does not exist") as caught:
        make_buildout(tmp_path, "[buildout]\nparts =\nextends = gone.cfg\n")
    assert (caught.value.reference, caught.value.context["line"]) == ("missing-profile", 3)
    (tmp_path / "profile.cfg").unlink()
    with pytest.raises(NotFound):
        make_buildout_of(tmp_path / "profile.cfg")


def make_buildout_of(profile: Path) -> Any:
    from slapos.build.fetch.profiles import ProfileReader
    from slapos.build.profile.buildout import Buildout

    return Buildout(profile=str(profile), directory=str(profile.parent), read=ProfileReader())


def test_reading_a_profile_has_no_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stock creates bin, parts, eggs and develop-eggs, changes directory and reads ~/.buildout (trap 5)."""
    home = tmp_path / "home"
    (home / ".buildout").mkdir(parents=True)
    (home / ".buildout" / "default.cfg").write_text("[buildout]\nparts = nonsense\n[a]\nx = from home\n")
    monkeypatch.setenv("HOME", str(home))
    before = Path.cwd()
    buildout = make_buildout(tmp_path, "[buildout]\nparts =\n[a]\nx = 1\n")
    assert buildout["a"]["x"] == "1"
    assert Path.cwd() == before
    assert list((tmp_path / "work").iterdir()) == []


def test_trap_4_names_resolve_one_by_one(tmp_path: Path) -> None:
    """Stock with a synthetic distribution: ImportError for each name that the table lacks."""
    asked = []

    def foreign(name: str, origin: object, section: str) -> type:
        asked.append(name)
        return TABLE["test:write"]

    table = RecipeTable(TABLE, foreign=foreign)
    buildout = make_buildout(
        tmp_path,
        "[a]\nrecipe = test:write\n[b]\nrecipe = slapos.cookbook:trac\n[c]\nrecipe = plain.egg\n",
        recipes=table,
    )
    assert [buildout[name].recipe.name for name in "abc"] == ["a", "b", "c"]
    assert asked == ["slapos.cookbook:trac", "plain.egg:default"]


def test_lines_and_words_are_split_before_values_are_put_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Give, "values", {"x": "1\nEVIL=2", "y": "a 'b", "list": ["p q", "r"]})
    view = make_buildout(
        tmp_path,
        """
        [slap]
        recipe = test:give
        [base]
        lines =
          A=1
          B=2
        [part]
        recipe = test:write
        lines =
          ${base:lines}
          X=${slap:x}
          ${slap:x}
          ${slap:list}
        words = run "${slap:y} z" ${slap:y} ${slap:list} ${:more}
        more = --flag 'two words'
        whole = ${:more}
        quoted = "${:more}"
        names = a ${:others} x-${slap:y}
          ${slap:y} ${slap:list}
        others = b
          c-${slap:x} d
        """,
    )["part"].recipe
    assert view.lines("lines") == ["A=1", "B=2", "X=1\nEVIL=2", "1\nEVIL=2", "p q", "r"]
    assert view.words("words") == ["run", "a 'b z", "a 'b", "p q", "r", "--flag 'two words'"]
    assert view.words("whole") == ["--flag", "two words"]
    assert view.words("quoted") == ["--flag 'two words'"]
    assert view.names("names") == ["a", "b", "c-1\nEVIL=2", "d", "x-a 'b", "a 'b", "p q", "r"]
    assert (view.names("absent", ()), view.words("absent", ())) == ([], [])
