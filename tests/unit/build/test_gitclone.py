"""``slapos.recipe.build:gitclone`` with real repositories."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from slapos.build.profile.install import Report
from slapos.model.errors import ProfileError
from slapos.system.processes import Launch, run
from tests.unit.build.profiles import make_buildout, outcomes, run_profile

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

PROFILE = "[buildout]\nparts = g\n{main}\n[g]\nrecipe = slapos.recipe.build:gitclone\nrepository = {url}\n{more}\n"


def git(directory: Path, *arguments: str) -> str:
    identity = {f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    clean = {"PATH": os.environ["PATH"], "HOME": str(directory), "GIT_CONFIG_NOSYSTEM": "1", **identity}
    command = ["git", "-c", "init.defaultBranch=master", "-c", "protocol.file.allow=always", *arguments]
    done = run(command, launch=Launch(directory=str(directory), environment=clean), timeout=60)
    assert done.code == 0, done.text
    return done.text.strip()


def commit(repository: Path, name: str, text: str) -> str:
    (repository / name).parent.mkdir(parents=True, exist_ok=True)
    (repository / name).write_text(text)
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "-m", name)
    return git(repository, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    directory = tmp_path / "repository"
    directory.mkdir()
    git(directory, "init", "--quiet")
    commit(directory, "a", "first")
    return directory


def done(tmp_path: Path, repository: object, more: str = "", main: str = "") -> Report:
    report = run_profile(tmp_path, PROFILE.format(url=repository, more=more, main=main))
    if report.first_error is not None:
        raise report.first_error
    return report


def option(tmp_path: Path, repository: Path, more: str = "") -> object:
    return make_buildout(tmp_path, PROFILE.format(url=repository, more=more, main=""))["g"]["revision"]


def test_the_default_branch_is_followed(tmp_path: Path, repository: Path) -> None:
    clone = tmp_path / "work/parts/g"
    done(tmp_path, repository)
    assert (clone / "a").read_text() == "first"
    assert outcomes(done(tmp_path, repository)) == {"g": "kept"}
    newer = commit(repository, "a", "second")
    assert option(tmp_path, repository) == newer
    assert outcomes(done(tmp_path, repository)) == {"g": "installed"}
    assert (clone / "a").read_text() == "second"


def test_a_branch_is_followed_and_a_revision_wins(tmp_path: Path, repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "--quiet", "-b", "side")
    side = commit(repository, "b", "side")
    git(repository, "checkout", "--quiet", "master")
    done(tmp_path, repository, "branch = side")
    assert (tmp_path / "work/parts/g/b").exists() and option(tmp_path, repository, "branch = side") == side
    done(tmp_path, repository, f"branch = side\nrevision = {first}")
    assert not (tmp_path / "work/parts/g/b").exists()
    commit(repository, "c", "later")
    assert outcomes(done(tmp_path, repository, f"branch = side\nrevision = {first}")) == {"g": "kept"}


def test_offline_or_without_the_server_what_is_there_stays(tmp_path: Path, repository: Path) -> None:
    done(tmp_path, repository)
    repository.rename(tmp_path / "away")
    assert outcomes(done(tmp_path, repository)) == {"g": "kept"}
    assert outcomes(done(tmp_path, repository, main="offline = true")) == {"g": "kept"}


def test_a_failing_clone_keeps_the_former_one_and_tells_what_git_said(tmp_path: Path, repository: Path) -> None:
    done(tmp_path, repository)
    report = run_profile(tmp_path, PROFILE.format(url=repository, more="revision = " + "0" * 40, main=""))
    assert report.first_error is not None and report.first_error.reference == "build-command-failed"
    assert any("0000000" in line for line in report.first_error.context["tail"])
    assert (tmp_path / "work/parts/g/a").read_text() == "first"


def test_a_working_copy_of_a_developer_is_left_alone(tmp_path: Path, repository: Path) -> None:
    done(tmp_path, repository, "develop = true")
    clone = tmp_path / "work/parts/g"
    (clone / "a").write_text("changed")
    commit(repository, "a", "second")
    done(tmp_path, repository, "develop = true\nbranch = master")
    assert run_profile(tmp_path, "[buildout]\nparts =\n").outcome == "done"
    assert (clone / "a").read_text() == "changed"


def test_part_of_the_files_and_of_the_history(tmp_path: Path, repository: Path) -> None:
    commit(repository, "folder/x", "x")
    commit(repository, "other/y", "y")
    done(tmp_path, f"file://{repository}", "sparse-checkout = /folder/\ndepth = 1")
    clone = tmp_path / "work/parts/g"
    assert (clone / "folder/x").exists() and not (clone / "other").exists()
    assert git(clone, "rev-list", "--count", "HEAD") == "1"


@pytest.mark.parametrize(("ignored", "there"), [("false", True), ("true", False)])
def test_submodules(tmp_path: Path, repository: Path, ignored: str, there: bool) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "--quiet")
    commit(inner, "i", "inner")
    git(repository, "submodule", "--quiet", "add", str(inner), "module")
    git(repository, "commit", "--quiet", "-m", "module")
    done(tmp_path, repository, f"ignore-cloning-submodules = {ignored}")
    assert (tmp_path / "work/parts/g/module/i").exists() is there


def test_a_location_of_its_own(tmp_path: Path, repository: Path) -> None:
    done(tmp_path, repository, "location = ${buildout:directory}/sources/x")
    assert (tmp_path / "work/sources/x/a").exists()


@pytest.mark.parametrize("more", ["depth = 0", "depth = x", "develop = perhaps"])
def test_refused_options(tmp_path: Path, repository: Path, more: str) -> None:
    with pytest.raises(ProfileError):
        done(tmp_path, repository, more)
    with pytest.raises(ProfileError, match="repository"):
        done(tmp_path, "", "")


def test_an_option_of_git_is_no_repository(tmp_path: Path) -> None:
    report = run_profile(tmp_path, PROFILE.format(url=f"--upload-pack=touch${{IFS}}{tmp_path}/evil", more="", main=""))
    assert report.outcome == "failed"
    assert not (tmp_path / "evil").exists()
