"""A build that has nothing to do is known as such, and no other one."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from slapos.build.job import Job, Result
from slapos.build.release import COMPLETED, forget_completion, record_build
from slapos.build.store.store import Store
from slapos.build.store.users import used_parts
from slapos.build.unchanged import unchanged
from slapos.system.removal import remove_tree
from tests.unit.build.stored import RECIPES, build, job, whole

URL = "https://example.com/software.cfg"
BESIDE = "beside.in"
PROFILE = """
[buildout]
parts = tool note page
[dep]
recipe = test:make
[tool]
recipe = test:make
uses = ${dep:location}
[note]
recipe = hyperopenx:template
inline = made of ${tool:location}
output = ${buildout:directory}/note
[page]
recipe = hyperopenx:template
url = ${:_profile_base_location_}/beside.in
output = ${buildout:directory}/page
"""


def run(directory: Path, text: str = PROFILE) -> Result:
    """A build as the command does it, which must end well."""
    work = directory / "work"
    work.mkdir(exist_ok=True)
    forget_completion(str(work))
    result = build(directory, text)
    assert result.outcome == "done", result.sentence
    record_build(str(work), URL, result)
    return result


def ask(directory: Path, text: str = PROFILE, *, url: str = URL, store: Path | None = None) -> Result | None:
    return ask_for(job(directory, text, store=store), url)


def ask_for(wanted: Job, url: str = URL) -> Result | None:
    return unchanged(dataclasses.replace(wanted, umask=0o022), url, RECIPES.extra)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A release of two stored and two private parts, built as a whole."""
    previous = os.umask(0o022)
    try:
        (tmp_path / BESIDE).write_text("page\n")
        run(tmp_path)
    finally:
        os.umask(previous)
    return tmp_path


def test_what_is_in_place_is_told_as_a_build_tells_it(made: Path) -> None:
    state = (made / "work" / ".installed.cfg").read_bytes()
    found = ask(made)
    again = run(made)
    assert found is not None
    assert [dataclasses.replace(part, seconds=0.0) for part in again.parts] == list(found.parts)
    assert (found.outcome, found.sentence, found.error) == (again.outcome, again.sentence, again.error)
    assert (found.stored, set(found.profiles)) == (again.stored, set(again.profiles))
    assert (made / "work" / ".installed.cfg").read_bytes() == state


def test_the_use_of_parts_is_noted_again(made: Path) -> None:
    store = Store((str(made / "store"),))
    noted = used_parts(store)
    remove_tree(str(made / "store" / ".users"))
    assert ask(made) is not None
    assert used_parts(store) == noted != {}


def test_a_part_that_only_building_needed_may_be_absent(made: Path) -> None:
    """As after a binary cache gave what was built with it."""
    remove_tree(str(made / "store" / "dep"))
    assert ask(made) is None, "it was installed, and the run forgets it"
    run(made)
    found = ask(made)
    assert found is not None
    assert [part.part for part in found.parts] == ["tool", "note", "page"]


def test_a_part_that_is_needed_must_be_there(made: Path) -> None:
    remove_tree(str(made / "store" / "tool"))
    assert ask(made) is None
    run(made)
    assert whole(made / "store").keys() == {f"{part}/{digest}" for part, digest in run(made).stored.items()}
    assert ask(made) is not None


def _cut_state(made: Path) -> None:
    path = made / "work" / ".installed.cfg"
    state = json.loads(path.read_text())
    state["parts"]["note"]["whole"] = False
    path.write_text(json.dumps(state))


def _leave_stale(made: Path) -> None:
    path = made / "work" / ".installed.cfg"
    state = json.loads(path.read_text())
    path.write_text(json.dumps({**state, "stale": [str(made / "work" / "gone")]}))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a removed file": lambda made: (made / "work" / "note").unlink(),
    "an edited file": lambda made: (made / "work" / "note").write_text("edited"),
    "another mode": lambda made: (made / "work" / "page").chmod(0o600),
    "another template": lambda made: (made / BESIDE).write_text("changed\n"),
    "a build that was interrupted": lambda made: (made / "work" / COMPLETED).unlink(),
    "a part that was interrupted": _cut_state,
    "files that no part needs": _leave_stale,
    "no memory": lambda made: (made / "work" / ".installed.cfg").unlink(),
    "no record": lambda made: (made / "work" / ".hyperopenx-release.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_not_as_it_was_left_needs_a_build_and_is_mended_by_it(made: Path, damage: str) -> None:
    DAMAGES[damage](made)
    assert ask(made) is None
    run(made)
    assert ask(made) is not None
    assert (made / "work" / "note").read_text().startswith("made of ")
    assert (made / "work" / "page").read_text() == (made / BESIDE).read_text()


CHANGES = {
    "an option": PROFILE.replace("made of", "made from"),
    "an option of a stored part": PROFILE.replace("uses = ${dep", "with = ${dep"),
    "a part less": PROFILE.replace("tool note page", "tool page"),
    "only a comment": f"# {PROFILE}",
    "a recipe that nobody has": PROFILE.replace("tool note page", "tool note page x") + "[x]\nrecipe = some.body\n",
    "what is no profile": "what is this",
    "a part that fails": PROFILE.replace("${tool:location}", "${tool:nothing}"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_profile_needs_a_build(made: Path, change: str) -> None:
    assert ask(made, CHANGES[change]) is None


def test_a_recipe_with_work_at_each_run_runs(made: Path) -> None:
    text = PROFILE.replace("tool note page", "tool note page d") + "[d]\nrecipe = hyperopenx:mkdirectory\nx = var\n"
    run(made, text)
    assert ask(made, text) is None


def test_another_release_or_store_or_buildout_needs_a_build(made: Path) -> None:
    assert ask(made, url="https://example.com/other.cfg") is None
    assert ask(made, store=made / "other") is None
    assert ask_for(dataclasses.replace(job(made, PROFILE), own="/bin/buildout")) is None
    assert ask(made) is not None
