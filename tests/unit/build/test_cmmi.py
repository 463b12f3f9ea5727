"""The recipe ``cmmi`` with real makefiles."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from slapos.build.fetch.profiles import PROFILE_LIMITS
from slapos.build.job import Job, Profiled, Result
from slapos.build.place import Place
from slapos.build.run import execute
from tests.unit.build.profiles import listing, outcomes, run_profile
from tests.unit.build.web import Web, serving

MAKEFILE = """
all:
\techo compiled > out
install:
\tmkdir -p $(DESTDIR)$(PREFIX)/bin
\tcp out configured patched $(DESTDIR)$(PREFIX)/bin/
"""

PROFILE = """
[buildout]
parts = tool
[tool]
recipe = hyperopenx:cmmi
path = {source}
configure-options = --with "two words"
make-options = PREFIX=@@LOCATION@@
environment =
  FLAG=-I%(EXTRA)s
  EXTRA=x
promises = @@LOCATION@@/bin/out
{more}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    (directory / "Makefile").write_text(MAKEFILE)
    configure = directory / "configure"
    configure.write_text('#!/bin/sh\nfor i; do echo "$i"; done > configured\n')
    configure.chmod(0o755)
    (directory / "patched").write_text("before\n")
    return directory


def profile(source: Path, more: str = "") -> str:
    return PROFILE.format(source=source, more=more)


def test_configure_make_install(tmp_path: Path, source: Path) -> None:
    text = profile(source, 'post-install = echo "$FLAG" > %(location)s/flag')
    assert run_profile(tmp_path, text).outcome == "done"
    location = tmp_path / "work" / "parts" / "tool"
    assert (location / "bin" / "configured").read_text() == f"--prefix={location}\n--with\ntwo words\n"
    assert (location / "bin" / "out").read_text() == "compiled\n"
    assert os.listdir(location.parent) == ["tool"], "nothing is left beside it"
    assert not (source / "out").exists(), "the given tree is not touched"
    assert outcomes(run_profile(tmp_path, text)) == {"tool": "kept"}


def test_a_makefile_without_destdir_installs_in_place(tmp_path: Path, source: Path) -> None:
    (source / "Makefile").write_text(MAKEFILE.replace("$(DESTDIR)", ""))
    assert run_profile(tmp_path, profile(source)).outcome == "done"
    assert (tmp_path / "work" / "parts" / "tool" / "bin" / "out").exists()


def test_patches_and_their_change(tmp_path: Path, source: Path) -> None:
    patch = tmp_path / "fix.patch"
    body = "--- a/patched\n+++ b/patched\n@@ -1 +1 @@\n-before\n+{}\n"
    text = profile(source, f"patches = {patch}\npatch-options = -p1")
    patch.write_text(body.format("after"))
    assert run_profile(tmp_path, text).outcome == "done"
    assert (tmp_path / "work" / "parts" / "tool" / "bin" / "patched").read_text() == "after\n"
    patch.write_text(body.format("otherwise"))
    assert outcomes(run_profile(tmp_path, text)) == {"tool": "installed"}, "same name, other content"
    patch.write_text("--- a/patched\n+++ b/patched\n@@ -1 +1 @@\n-nothing like it\n+x\n")
    report = run_profile(tmp_path, text)
    assert report.first_error is not None
    assert report.first_error.reference == "patch-failed"
    assert (tmp_path / "work" / "parts" / "tool" / "bin" / "patched").read_text() == "otherwise\n"


def test_a_failing_command_tells_its_last_lines_and_log(tmp_path: Path, source: Path) -> None:
    report = run_profile(tmp_path, profile(source, "pre-build = echo about to fail; false; echo never"))
    error = report.first_error
    assert error is not None
    assert (error.reference, error.context["code"]) == ("build-command-failed", 1)
    assert error.context["tail"][-1] == "about to fail"
    assert error.context["log"] == f"{tmp_path}/work/.build-log/tool.log"
    assert "--with" in Path(error.context["log"]).read_text()
    assert listing(tmp_path) == [".build-log", "parts"]
    assert os.listdir(tmp_path / "work" / "parts") == []


def test_a_full_disk_in_a_command_is_told_as_such(tmp_path: Path, source: Path) -> None:
    more = "pre-build = echo 'cc1: error: No space left on device' >&2; exit 1"
    error = run_profile(tmp_path, profile(source, more)).first_error
    assert error is not None
    assert (error.reference, type(error).__name__) == ("disk-full", "MachineError")


def test_a_broken_promise_and_an_empty_installation(tmp_path: Path, source: Path) -> None:
    report = run_profile(tmp_path, profile(source).replace("bin/out", "bin/gone"))
    assert report.first_error is not None
    assert report.first_error.reference == "broken-promise"
    (source / "Makefile").write_text("all:\ninstall:\n")
    report = run_profile(tmp_path, profile(source))
    assert report.first_error is not None
    assert report.first_error.reference == "nothing-installed"


def test_list_values_are_one_argument_each(tmp_path: Path, source: Path) -> None:
    text = profile(source).replace('--with "two words"', '!json!["a b", "$(id)", "\'"]')
    assert run_profile(tmp_path, text).outcome == "done"
    configured = tmp_path / "work" / "parts" / "tool" / "bin" / "configured"
    assert configured.read_text().splitlines()[1:] == ["a b", "$(id)", "'"]


@pytest.mark.parametrize("cut", ["before", "marked", "placed"])
def test_what_a_killed_run_left_is_not_taken_for_whole(tmp_path: Path, cut: str) -> None:
    class Killed(BaseException):
        pass

    place = Place(str(tmp_path / "tool"))
    with place.renewed() as work:
        os.mkdir(f"{work}/tree")
        (Path(work) / "tree" / "v").write_text("1")
        place.put(f"{work}/tree")
    os.rename(place.location, place.old)
    if cut != "before":
        Path(place.marker).touch()
        os.mkdir(place.work)
    if cut == "placed":
        os.mkdir(place.location)
    assert not place.is_whole
    with pytest.raises(Killed), place.renewed():
        assert not os.path.exists(place.location)
        raise Killed
    assert place.is_whole
    assert (tmp_path / "tool" / "v").read_text() == "1"
    assert os.listdir(tmp_path) == ["tool"]


PATCH = "--- a/patched\n+++ b/patched\n@@ -1 +1 @@\n-before\n+{}\n"


def run_served(tmp_path: Path, web: Web, source: Path, more: str) -> Result:
    """A run of the profile read over http."""
    web.files["/release/software.cfg"] = profile(source, f"patch-options = -p1\n{more}").encode()
    (tmp_path / "work").mkdir(exist_ok=True)
    return execute(Job("build", str(tmp_path / "work"), f"{web.url}/release/software.cfg", ""))


def test_a_patch_beside_a_profile_read_over_http(tmp_path: Path, source: Path) -> None:
    more = "patches = ${:_profile_base_location_}/fix.patch"
    patched = tmp_path / "work" / "parts" / "tool" / "bin" / "patched"
    with serving() as web:
        for word in ("after", "otherwise"):
            data = web.files["/release/fix.patch"] = PATCH.format(word).encode()
            web.requests.clear()
            result = run_served(tmp_path, web, source, more)
            assert result.outcome == "done", result.sentence
            assert patched.read_text() == f"{word}\n"
            assert [path for path, _ in web.requests].count("/release/fix.patch") == 1
            noted = Profiled(f"{web.url}/release/fix.patch", hashlib.sha256(data).hexdigest(), len(data))
            assert noted in result.profiles
        assert [part.outcome for part in run_served(tmp_path, web, source, more).parts] == ["kept"]
        del web.files["/release/fix.patch"]
        error = run_served(tmp_path, web, source, more).error
        assert error is not None and error["reference"] == "missing-patch"
        assert patched.read_text() == "otherwise\n"
        web.files["/release/fix.patch"] = b"x" * (PROFILE_LIMITS.size + 1)
        error = run_served(tmp_path, web, source, more).error
        assert error is not None and error["reference"] == "too-large"


@pytest.mark.parametrize("form", ["#{}", "#sha256={}"])
def test_a_patch_pinned_by_its_digest(tmp_path: Path, source: Path, form: str) -> None:
    data = PATCH.format("after").encode()
    with serving() as web:
        web.files["/fix.patch"] = b"something else"
        more = f"patches = {web.url}/fix.patch" + form.format(hashlib.sha256(data).hexdigest())
        error = run_served(tmp_path, web, source, more).error
        assert error is not None and error["reference"] == "wrong-checksum"
        web.files["/fix.patch"] = data
        assert run_served(tmp_path, web, source, more).outcome == "done"
        assert (tmp_path / "work" / "parts" / "tool" / "bin" / "patched").read_text() == "after\n"
        del web.files["/fix.patch"]
        assert run_served(tmp_path, web, source, f"{more}\npre-build = true").outcome == "done", "from the cache"


def test_a_patch_with_a_wrong_digest_is_refused(tmp_path: Path, source: Path) -> None:
    patch = tmp_path / "fix.patch"
    patch.write_text(PATCH.format("after"))
    for digest, reference in (("0" * 64, "wrong-checksum"), ("sha256=12", "invalid-option")):
        error = run_profile(tmp_path, profile(source, f"patches = {patch}#{digest}")).first_error
        assert error is not None and error.reference == reference
