"""The loop over the parts: what is kept, waited for, removed, and in which order (traps 3 and 6)."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slapos.build.profile import state as state_module
from slapos.build.profile.names import RecipeTable
from slapos.build.profile.nested import run_nested
from slapos.build.profile.state import read_state
from slapos.build.recipe import Recipe, identity
from slapos.model.errors import MachineError, NotReady
from tests.unit.build.profiles import (
    TABLE,
    Give,
    Write,
    listing,
    make_buildout,
    outcomes,
    run_profile,
    write_profile,
)

TWO = """
[buildout]
parts = a b
[a]
recipe = test:write
text = {a}
[b]
recipe = test:write
text = from ${{a:path}}
"""


@pytest.fixture(autouse=True)
def forget_calls() -> None:
    Write.calls.clear()


def test_second_run_changes_nothing(tmp_path: Path) -> None:
    first = run_profile(tmp_path, TWO.format(a=1))
    assert outcomes(first) == {"a": "installed", "b": "installed"}
    assert first.outcome == "done"
    second = run_profile(tmp_path, TWO.format(a=1))
    assert outcomes(second) == {"a": "kept", "b": "kept"}
    assert listing(tmp_path) == [".installed.cfg", "a", "b"], "no directory is made needlessly"


def test_only_what_changed_is_installed(tmp_path: Path) -> None:
    run_profile(tmp_path, TWO.format(a=1))
    assert outcomes(run_profile(tmp_path, TWO.format(a=2))) == {"a": "installed", "b": "kept"}
    (tmp_path / "work" / "b").unlink()
    assert outcomes(run_profile(tmp_path, TWO.format(a=2))) == {"a": "kept", "b": "installed"}


def test_true_and_one_are_different_values(tmp_path: Path) -> None:
    profile = "[buildout]\nparts = a\n[a]\nrecipe = test:write\nx = !json!{}\n"
    run_profile(tmp_path, profile.format("1"))
    assert outcomes(run_profile(tmp_path, profile.format("true"))) == {"a": "installed"}


@given(st.text(max_size=40) | st.sampled_from(["%(__buildout_space_n__)s", "${a:b}", "\ud800"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_trap_2_hostile_values_come_out_unchanged_and_cause_one_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """Stock reinstalls at each run for ``%(__buildout_space_n__)s``."""
    monkeypatch.setattr(Give, "values", {"text": value, "nested": {"deep": [value]}})
    profile = """
    [buildout]
    parts = out
    [slap]
    recipe = test:give
    [out]
    recipe = test:write
    text = ${slap:text}
    also = ${slap:nested}
    """
    run_profile(tmp_path, profile)
    written = (tmp_path / "work" / "out").read_bytes().decode("utf-8", "surrogatepass")
    assert written == value
    assert outcomes(run_profile(tmp_path, profile)) == {"slap": "kept", "out": "kept"}


def test_trap_3_state_survives_a_cut_anywhere(tmp_path: Path) -> None:
    """Stock: KeyError or ParsingError at each later run until a person deletes the file."""
    run_profile(tmp_path, TWO.format(a=1))
    path = tmp_path / "work" / ".installed.cfg"
    whole = path.read_bytes()
    for size in range(0, len(whole), 37):
        path.write_bytes(whole[:size])
        report = run_profile(tmp_path, TWO.format(a=1))
        assert outcomes(report) == {"a": "installed", "b": "installed"}, size
        assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "text", ["[]", '{"format": 99}', '{"format": 1, "parts": {"a": 1}, "stale": []}', "[buildout]\n"]
)
def test_strange_state_is_set_aside(tmp_path: Path, text: str) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / ".installed.cfg").write_text(text)
    assert run_profile(tmp_path, TWO.format(a=1)).outcome == "done"
    assert (tmp_path / "work" / ".installed.cfg.unreadable").read_text() == text


def test_state_is_private_and_json(tmp_path: Path) -> None:
    run_profile(tmp_path, TWO.format(a=1))
    path = tmp_path / "work" / ".installed.cfg"
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["parts"]["a"]["options"]["text"] == "1"


RENAMED = """
[buildout]
parts = a {second}
[a]
recipe = test:write
file = {file}
[bad]
recipe = test:fail
"""


def test_trap_3_old_files_go_only_after_the_whole_run_succeeded(tmp_path: Path) -> None:
    """Stock removes the old file of ``a`` first; then ``bad`` fails and nothing is left."""
    run_profile(tmp_path, RENAMED.format(second="", file="old"))
    failed = run_profile(tmp_path, RENAMED.format(second="bad", file="new"))
    assert outcomes(failed) == {"a": "installed", "bad": "failed"}
    assert {"old", "new"} <= set(listing(tmp_path))
    assert run_profile(tmp_path, RENAMED.format(second="", file="new")).outcome == "done"
    assert listing(tmp_path) == [".installed.cfg", "new"]


def test_files_of_a_part_that_left_go_but_not_what_another_owns_now(tmp_path: Path) -> None:
    run_profile(tmp_path, TWO.format(a=1))
    text = "[buildout]\nparts = c\n[c]\nrecipe = test:write\nfile = b\n"
    assert outcomes(run_profile(tmp_path, text)) == {"c": "installed"}
    assert listing(tmp_path) == [".installed.cfg", "b"]


def test_waiting_is_not_failing_and_others_go_on(tmp_path: Path) -> None:
    profile = """
    [buildout]
    parts = request uses free late
    [request]
    recipe = test:wait
    for = db: url
    early = {early}
    [uses]
    recipe = test:write
    text = ${{request:for}}
    [free]
    recipe = test:write
    [late]
    recipe = test:write
    text = ${{uses:path}}
    """
    for early in ("true", "false"):
        report = run_profile(tmp_path, profile.format(early=early))
        assert report.outcome == "waiting"
        assert report.sentence == "waiting for db: url"
        found = outcomes(report)
        assert (found["request"], found["uses"], found["late"]) == ("waiting", "blocked", "blocked"), early
        assert found["free"] in ("installed", "kept")
    assert listing(tmp_path) == [".installed.cfg", "free"]


def test_a_blocked_part_keeps_what_it_had(tmp_path: Path) -> None:
    profile = """
    [buildout]
    parts = x uses
    [x]
    recipe = {recipe}
    for = x
    [uses]
    recipe = test:write
    text = {text} ${{x:recipe}}
    """
    run_profile(tmp_path, profile.format(recipe="test:give", text="old"))
    report = run_profile(tmp_path, profile.format(recipe="test:wait", text="new"))
    assert outcomes(report) == {"x": "waiting", "uses": "blocked"}
    assert (tmp_path / "work" / "uses").read_text() == "old test:give"
    run_profile(tmp_path, profile.format(recipe="test:give", text="new"))
    assert (tmp_path / "work" / "uses").read_text() == "new test:give"


def test_a_failing_part_does_not_stop_independent_ones(tmp_path: Path) -> None:
    profile = """
    [buildout]
    parts = bad wrong needs free
    [bad]
    recipe = test:fail
    [wrong]
    recipe = test:write
    text = ${nobody:x}
    [needs]
    recipe = test:write
    text = ${wrong:path}
    [free]
    recipe = test:write
    """
    report = run_profile(tmp_path, profile)
    assert outcomes(report) == {"bad": "failed", "wrong": "failed", "needs": "blocked", "free": "installed"}
    assert report.outcome == "failed"
    assert {error.reference for error in report.errors} == {"missing-section", "build-failed"}
    assert report.errors[0].context["part"] == "wrong"
    assert (
        next(part.sentence for part in report.parts if part.part == "needs")
        == "needs needs wrong, which is not there yet."
    )
    assert outcomes(run_profile(tmp_path, profile))["free"] == "kept", "what succeeded is remembered"


def test_a_listed_part_must_exist_and_have_a_recipe(tmp_path: Path) -> None:
    report = run_profile(tmp_path, "[buildout]\nparts = gone plain\n[plain]\nx = 1\n")
    assert [error.reference for error in report.errors] == ["missing-section", "missing-option"]
    assert all(error.context["line"] == 2 for error in report.errors)


def test_disk_full_is_an_error_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Write) -> list[str]:
        raise OSError(errno.ENOSPC, "No space left on device", "/x")

    monkeypatch.setattr(Write, "install", full)
    report = run_profile(tmp_path, TWO.format(a=1))
    assert isinstance(report.errors[0], MachineError)
    assert report.errors[0].reference == "disk-full"


def test_an_interrupted_installation_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the options are meanwhile what they were before: the files may be of the interrupted run."""

    class Killed(BaseException):
        pass

    def cut(self: Write) -> list[str]:
        Path(self.text("path")).write_text("half")
        raise Killed

    run_profile(tmp_path, TWO.format(a=1))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Write, "install", cut)
        run_profile(tmp_path, TWO.format(a=2))
    assert outcomes(run_profile(tmp_path, TWO.format(a=1))) == {"a": "installed", "b": "kept"}
    assert (tmp_path / "work" / "a").read_text() == "1"


class Versioned(Recipe):
    interface: ClassVar[int] = 1

    def install(self) -> list[str]:
        return []


class Newer(Versioned):
    interface: ClassVar[int] = 2


def test_trap_6_another_recipe_under_the_same_name_installs_again(tmp_path: Path) -> None:
    """Stock only says "Updating": its signature is the name of the install location."""
    text = "[buildout]\nparts = a\n[a]\nrecipe = test:versioned\n"
    table = RecipeTable({"test:versioned": Versioned})
    assert outcomes(run_profile(tmp_path, text, recipes=table)) == {"a": "installed"}
    assert outcomes(run_profile(tmp_path, text, recipes=table)) == {"a": "kept"}
    newer = RecipeTable({"test:versioned": Newer})
    assert outcomes(run_profile(tmp_path, text, recipes=newer)) == {"a": "installed"}
    assert (
        read_state(str(tmp_path / "work" / ".installed.cfg"))
        .parts["a"]
        .signature.startswith("test:versioned interface=2 source=")
    )


def test_identity_follows_the_code_not_its_comments(tmp_path: Path) -> None:
    import importlib.util

    def load(name: str, source: str) -> type:
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        import sys

        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module.R  # type: ignore[no-any-return]

    body = "from slapos.build.recipe import Recipe\nclass R(Recipe):\n    def install(self):\n        return {}\n"
    same = identity(load("identity_a", body.format("[]")))
    assert identity(load("identity_b", "# a comment\n\n" + body.format("[]"))) == same
    assert identity(load("identity_c", body.format("['x']"))) != same


def test_former_options_are_known_to_the_recipe(tmp_path: Path) -> None:
    run_profile(tmp_path, TWO.format(a=1))
    assert make_buildout(tmp_path, TWO.format(a=2))["a"].recipe.previous["text"] == "1"


def test_nested_profile_shares_the_directory_and_its_outcome(tmp_path: Path) -> None:
    class Switch(Recipe):
        def install(self) -> list[str]:
            given = {"slap": {"recipe": None, "x": "${no:thing}"}}
            run_nested(self.buildout, self.name, self.text("profile"), given)  # type: ignore[arg-type]
            return []

        update = install

    table = RecipeTable({**TABLE, "test:switch": Switch})
    outer = "[buildout]\nparts = s\n[s]\nrecipe = test:switch\nprofile = ${:_profile_base_location_}/{}.cfg\n"
    write_profile(
        tmp_path,
        "[buildout]\nparts = slap one\n[slap]\nrecipe = test:fail\n[one]\nrecipe = test:write\ntext = ${slap:x}\n",
        "first.cfg",
    )
    write_profile(tmp_path, "[buildout]\nparts = two\n[two]\nrecipe = test:write\n", "second.cfg")
    write_profile(tmp_path, "[buildout]\nparts = w\n[w]\nrecipe = test:wait\nfor = child\n", "third.cfg")
    first = run_profile(tmp_path, outer.replace("{}", "first"), recipes=table)
    assert outcomes(first) == {"s": "installed", "slap": "installed", "one": "installed"}
    assert (tmp_path / "work" / "one").read_text() == "${no:thing}"
    assert run_profile(tmp_path, outer.replace("{}", "second"), recipes=table).outcome == "done"
    assert listing(tmp_path) == [".installed-s.cfg", ".installed.cfg", "two"], "the other type's files are gone"
    third = run_profile(tmp_path, outer.replace("{}", "third"), recipes=table)
    assert third.outcome == "waiting"
    assert isinstance(third.first_error, NotReady)
    assert "two" in listing(tmp_path)


def test_state_is_saved_after_each_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = []
    write = state_module.write_state
    monkeypatch.setattr(
        "slapos.build.profile.install.write_state",
        lambda path, state, **flags: (saved.append(list(state.parts)), write(path, state, **flags)),
    )
    run_profile(tmp_path, TWO.format(a=1))
    assert saved == [["a"], ["a", "b"], ["a", "b"]]
