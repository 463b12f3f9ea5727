"""``slapos.recipe.cmmi`` with real makefiles."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from slapos.build.profile.install import Report
from slapos.model.errors import ProfileError
from tests.unit.build.profiles import make_buildout, outcomes, run_profile
from tests.unit.build.test_unpack import make_tar

CONFIGURE = '#!/bin/sh\nfor i; do echo "$i"; done > configured\necho "$CPPFLAGS" > flags\n'
MAKEFILE = "all:\n\techo compiled > out\ninstall:\n\tmkdir -p $(PREFIX)/bin\n\tcp * $(PREFIX)/bin/\n"
PROFILE = """
[buildout]
parts = tool
{main}
[zlib]
location = /somewhere/zlib
[tool]
recipe = slapos.recipe.cmmi
{source}
configure-options =
  --with=${{zlib:location}}/lib
  LDFLAGS="-L${{zlib:location}}/lib -Wl,-rpath=%(location)s/lib"
make-options = PREFIX=%(prefix)s
environment =
  CPPFLAGS=-I${{zlib:location}}/include
  PATH=/extra:%(PATH)s
{more}
"""
PATCH = "--- a/patched\n+++ b/patched\n@@ -1 +1 @@\n-before\n+after\n"


@pytest.fixture
def archive(tmp_path: Path) -> str:
    members = (("configure", "exe", CONFIGURE), ("Makefile", "file", MAKEFILE), ("patched", "file", "before\n"))
    return make_tar(tmp_path / "tool-1.tar", *((f"tool-1/{name}", kind, text) for name, kind, text in members))


def md5(path: str | Path) -> str:
    return hashlib.md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest()


def profile(archive: str, more: str = "", main: str = "") -> str:
    return PROFILE.format(source=f"url = {archive}\nmd5sum = {md5(archive)}", more=more, main=main)


def done(tmp_path: Path, text: str) -> Report:
    report = run_profile(tmp_path, text)
    if report.first_error is not None:
        raise report.first_error
    return report


def test_configure_make_install(tmp_path: Path, archive: str) -> None:
    text = profile(archive, "pre-configure = echo 100%% $PATH > pre\npost-install = touch %(location)s/post\n")
    done(tmp_path, text)
    location = tmp_path / "work/parts/tool"
    assert (location / "bin/out").read_text() == "compiled\n"
    assert (location / "bin/flags").read_text() == "-I/somewhere/zlib/include\n"
    assert (location / "bin/configured").read_text().splitlines() == [
        f"--prefix={location}",
        "--with=/somewhere/zlib/lib",
        f"LDFLAGS=-L/somewhere/zlib/lib -Wl,-rpath={location}/lib",
    ]
    assert (location / "bin/pre").read_text() == f"100% /extra:{os.environ['PATH']}\n"
    assert (location / "post").exists()
    assert not (location / ".build").exists()
    buildout = make_buildout(tmp_path, text)
    assert buildout["tool"]["prefix"] == buildout["tool"]["location"] == str(location)
    assert buildout["tool"]["compile-directory"] == f"{location}/.build"
    assert outcomes(run_profile(tmp_path, text)) == {"tool": "kept"}


def test_a_command_of_its_own_gets_the_prefix_at_the_end(tmp_path: Path, archive: str) -> None:
    more = "configure-command = ./configure special\npre-install = sed -i 's/PREFIX/prefix/' Makefile\n"
    text = profile(archive, more).replace("make-options = PREFIX=%(prefix)s", "")
    done(tmp_path, text)
    assert (tmp_path / "work/parts/tool/bin/configured").read_text().splitlines()[0] == "special"


def test_patches_are_applied_and_checked(tmp_path: Path, archive: str) -> None:
    (tmp_path / "x.patch").write_text(PATCH)
    more = f"patches =\n  ${{:_profile_base_location_}}/x.patch#{md5(tmp_path / 'x.patch')}\npatch-options = -p1\n"
    done(tmp_path, profile(archive, more))
    assert (tmp_path / "work/parts/tool/bin/patched").read_text() == "after\n"
    report = run_profile(tmp_path, profile(archive, more.replace("#", "#" + "0" * 32 + "\n  x#")))
    assert report.first_error is not None and report.first_error.reference == "wrong-checksum"


def test_a_patch_without_a_digest_that_changes_builds_again(tmp_path: Path, archive: str) -> None:
    (tmp_path / "x.patch").write_text(PATCH)
    text = profile(archive, f"patches = {tmp_path}/x.patch\npatch-options = -p1\n")
    done(tmp_path, text)
    (tmp_path / "x.patch").write_text(PATCH.replace("after", "later"))
    assert outcomes(run_profile(tmp_path, text)) == {"tool": "installed"}
    assert (tmp_path / "work/parts/tool/bin/patched").read_text() == "later\n"


def test_hooks_are_called_in_the_sources_and_may_change_the_environment(tmp_path: Path, archive: str) -> None:
    (tmp_path / "hooks.py").write_text(
        "import pathlib\n"
        "def before(options, buildout, environment):\n"
        "    pathlib.Path('hooked').write_text(options['location'] + ' ' + buildout['zlib']['location'])\n"
        "    environment['CPPFLAGS'] = 'changed'\n"
        "def after(options, buildout):\n"
        "    open(options['location'] + '/after', 'w').close()\n"
    )
    hooks = f"pre-configure-hook = {tmp_path}/hooks.py:before\n"
    hooks += f"post-make-hook = {tmp_path}/hooks.py#{md5(tmp_path / 'hooks.py')}:after\n"
    done(tmp_path, profile(archive, hooks))
    location = tmp_path / "work/parts/tool"
    assert (location / "bin/hooked").read_text() == f"{location} /somewhere/zlib"
    assert (location / "bin/flags").read_text() == "changed\n"
    assert (location / "after").exists()


def test_what_a_hook_raises_names_the_option_and_the_line(tmp_path: Path, archive: str) -> None:
    (tmp_path / "hooks.py").write_text("def before(options, buildout):\n    return 1 / 0\n")
    report = run_profile(tmp_path, profile(archive, f"pre-make-hook = {tmp_path}/hooks.py:before\n"))
    assert report.first_error is not None and report.first_error.reference == "packagers-code"
    assert "pre-make-hook, line 2 failed: ZeroDivisionError" in report.first_error.message


def test_a_failing_command_leaves_the_former_tree(tmp_path: Path, archive: str) -> None:
    done(tmp_path, profile(archive))
    report = run_profile(tmp_path, profile(archive, "pre-install = false\n"))
    assert report.first_error is not None and report.first_error.reference == "build-command-failed"
    assert (tmp_path / "work/parts/tool/bin/out").exists()
    assert outcomes(done(tmp_path, profile(archive))) == {"tool": "installed"}


def test_sources_of_a_path_are_used_where_they_are(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "configure").write_text(CONFIGURE)
    (source / "configure").chmod(0o755)
    (source / "Makefile").write_text(MAKEFILE)
    text = PROFILE.format(source=f"path = {source}", main="", more="prefix = @@LOCATION@@/inner\n")
    done(tmp_path, text)
    assert (tmp_path / "work/parts/tool/inner/bin/out").exists() and (source / "out").exists()
    assert make_buildout(tmp_path, text)["tool"]["prefix"] == f"{tmp_path}/work/parts/tool/inner"


def test_a_shared_part_is_told_its_place(tmp_path: Path, archive: str) -> None:
    (tmp_path / "shared").mkdir()
    more = "shared = true\npost-install = echo @@LOCATION@@ > %(location)s/where\npromises =\n  @@LOCATION@@/where\n"
    text = profile(archive, more, main=f"shared-part-list = {tmp_path}/shared")
    done(tmp_path, text)
    location = Path(make_buildout(tmp_path, text)["tool"]["location"])
    assert location.parent == tmp_path / "shared/tool"
    assert (location / "where").read_text() == f"{location}\n"
    assert (location / "bin/configured").read_text().splitlines()[0] == f"--prefix={location}"
    record = json.loads((location / ".buildout-shared.json").read_text())
    assert record["environment"].startswith("CPPFLAGS=-I/somewhere/zlib/include")
    changed = text.replace("/somewhere/zlib", "/elsewhere/zlib")
    assert make_buildout(tmp_path, changed)["tool"]["location"] != str(location)


@pytest.mark.parametrize(
    ("more", "option"),
    [
        ("path = /x", "url"),
        ("location = /elsewhere", "location"),
        ("md5sum = x", "md5sum"),
        ("environment = A=%(NOTHING)s", "environment"),
        ("environment = A=1\n  A=2", "environment"),
        ("pre-configure = echo 5%", "pre-configure"),
        ("pre-configure = echo %(nothing)s", "pre-configure"),
        ("pre-make-hook = /nowhere.py:x", "pre-make-hook"),
    ],
)
def test_what_cannot_be_is_refused_with_the_option(tmp_path: Path, archive: str, more: str, option: str) -> None:
    report = run_profile(tmp_path, profile(archive, more))
    assert isinstance(report.first_error, ProfileError)
    assert report.first_error.context["option"] == option


def test_data_are_never_a_part_of_a_command(tmp_path: Path, archive: str) -> None:
    text = profile(archive, 'pre-configure = echo ${given:x}\n[given]\nx = !json!"a; touch evil"\n')
    report = run_profile(tmp_path, text)
    assert report.first_error is not None and report.first_error.reference == "unsafe-value"
