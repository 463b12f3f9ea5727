"""``plone.recipe.command``: commands of a packager's."""

from __future__ import annotations

import pytest

from slapos.model.errors import BuildFailed, ProfileError
from tests.unit.cookbook.engine import Partition

PROFILE = "[buildout]\nparts = c\n[c]\nrecipe = plone.recipe.command\n"


def test_a_command_runs_once_in_the_directory_and_an_update_each_time_after(partition: Partition) -> None:
    profile = PROFILE + "command = echo install >> runs; pwd > where\nupdate-command = echo update >> runs\n"
    for _ in range(3):
        partition.done(profile)
    assert (partition.directory / "runs").read_text() == "install\nupdate\nupdate\n"
    assert (partition.directory / "where").read_text() == f"{partition.directory}\n"
    partition.done(profile + "other = changed\n")
    assert (partition.directory / "runs").read_text().endswith("update\ninstall\n")


def test_update_command_may_be_that_of_the_installation(partition: Partition) -> None:
    profile = PROFILE + "command = echo x >> runs\nupdate-command = ${:command}\n"
    partition.done(profile)
    partition.done(profile)
    assert (partition.directory / "runs").read_text() == "x\nx\n"


@pytest.mark.parametrize("word", ["true", "yes", "on", "TRUE"])
def test_a_failure_counts_when_it_is_asked_to(partition: Partition, word: str) -> None:
    partition.done(PROFILE + "command = exit 3\n")
    partition.done(PROFILE + "command = false; touch after\nstop-on-error = false\n")
    assert (partition.directory / "after").exists(), "as sh -c, which goes on after a failure"
    with pytest.raises(BuildFailed, match="command failed with status 3") as caught:
        partition.done(PROFILE + f"command = echo why; exit 3\nstop-on-error = {word}\n")
    assert caught.value.context["tail"] == ["why"]


def test_what_it_owns_goes_with_it(partition: Partition) -> None:
    profile = PROFILE + "command = mkdir made\nlocation = ${buildout:directory}/made\n"
    partition.done(profile)
    assert (partition.directory / "made").is_dir()
    partition.done("[buildout]\nparts =\n")
    assert not (partition.directory / "made").exists()


def test_pieces_of_the_packager_are_shell_and_data_are_words(partition: Partition) -> None:
    evil = "a; touch evil '$(touch evil)"
    profile = PROFILE + "program = printf '%s\\n'\ncommand = ${:program} ${given:x} x=${given:x} > out; ${:more}\n"
    profile += "more =\n  touch one\n  touch two\n"
    partition.done(profile, given={"x": evil})
    assert (partition.directory / "out").read_text() == f"{evil}\nx={evil}\n"
    assert (partition.directory / "one").exists() and (partition.directory / "two").exists()
    assert not (partition.directory / "evil").exists()


@pytest.mark.parametrize(
    ("text", "option", "reference"),
    [
        ("", "command", "missing-option"),
        ("command =", "command", "missing-option"),
        ("command = x\nstop-on-error = maybe", "stop-on-error", "invalid-option"),
        ("command = x\nlocation = /", "location", "path-outside"),
        ("command = x\nlocation = ${buildout:directory}", "location", "path-outside"),
        ("command = echo '${given:x}'", "command", "unsafe-value"),
        ("command = echo ${given:nul}", "command", "invalid-text"),
    ],
)
def test_what_cannot_be_is_refused(partition: Partition, text: str, option: str, reference: str) -> None:
    with pytest.raises(ProfileError) as caught:
        partition.done(PROFILE + text + "\n", given={"x": "' ; touch evil", "nul": "a\0b"})
    assert (caught.value.context["option"], caught.value.reference) == (option, reference)
