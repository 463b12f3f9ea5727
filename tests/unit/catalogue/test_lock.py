"""Pins that are refreshed: what is written, what stays as it is byte for byte, what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from slapos.catalogue.lock.edit import with_option
from slapos.cli import main as entry
from slapos.model.errors import NotFound

A = "a" * 64
PROFILE = """# tool: a tool.
[buildout]
parts = tool

[tool]
recipe = hyperopenx:cmmi
version = 1
# why it comes from there
url = file://@DIR@/tool-${:version}.tar.gz
sha256 =
  @ONE@
  @A@

make-options =
  X=1

[page]
recipe = hyperopenx:template
url = ${:_profile_base_location_}/page.in
output = page
"""


@pytest.mark.parametrize(
    ("option", "values", "old", "new"),
    [
        ("version", ["2"], "version = 1\n", "version = 2\n"),
        ("sha256", ["x"], f"sha256 =\n  @ONE@\n  {A}\n\nmake", "sha256 = x\n\nmake"),
        ("version", ["2", "3"], "version = 1\n", "version =\n  2\n  3\n"),
        ("make-options", ["Y"], "make-options =\n  X=1\n\n[page]", "make-options = Y\n\n[page]"),
        ("mirrors", ["m"], ".tar.gz\nsha256", ".tar.gz\nmirrors = m\nsha256"),
    ],
)
def test_only_one_option_changes(option: str, values: list[str], old: str, new: str) -> None:
    text = PROFILE.replace("@A@", A)
    assert old in text
    assert with_option(text, "tool", option, values) == text.replace(old, new)


def test_a_comment_between_the_lines_and_the_end_of_the_file() -> None:
    text = "[tool]\nurl = x\nsha256 =\n  1\n# of the mirror\n  2"
    assert with_option(text, "tool", "url", ["y"]) == text.replace("url = x", "url = y")
    assert with_option(text, "tool", "sha256", ["3"]) == "[tool]\nurl = x\nsha256 = 3\n# of the mirror"
    assert with_option("[tool]\nsha256 = 1", "tool", "sha256", ["2"]) == "[tool]\nsha256 = 2"


def test_a_section_of_another_profile() -> None:
    with pytest.raises(NotFound) as raised:
        with_option(PROFILE, "other", "version", ["1"])
    assert raised.value.reference == "missing-section"


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    for version in ("1", "2"):
        (tmp_path / f"tool-{version}.tar.gz").write_text(f"source {version}")
    path = tmp_path / "software.cfg"
    path.write_text(PROFILE.replace("@DIR@", str(tmp_path)).replace("@ONE@", digest("source 1")).replace("@A@", A))
    return path


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert entry.run([*words, "--format", "json"]) not in (0, 1)
    error: dict[str, Any] = json.loads(capsys.readouterr().err)["error"]
    return error


def test_what_is_right_stays(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = profile.read_bytes()
    assert entry.run(["lock", str(profile.parent)]) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert profile.read_bytes() == before


def test_a_new_version(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = profile.read_text()
    profile.chmod(0o640)
    assert entry.run(["lock", str(profile), "tool", "--version", "2", "--check"]) == 1
    assert profile.read_text() == before
    assert entry.run(["lock", str(profile), "tool", "--version", "2"]) == 0
    assert "[tool] version: 1 → 2" in capsys.readouterr().out
    two = before.replace("version = 1", "version = 2")
    assert profile.read_text() == two.replace(
        f"sha256 =\n  {digest('source 1')}\n  {A}\n", f"sha256 = {digest('source 2')}\n"
    )
    assert profile.stat().st_mode & 0o777 == 0o640


def test_a_digest_that_is_not_there_yet(profile: Path) -> None:
    text = profile.read_text()
    begin, end = text.index("sha256"), text.index("\nmake-options")
    profile.write_text(text[:begin] + text[end:])
    assert entry.run(["lock", str(profile)]) == 0
    assert f"tar.gz\nsha256 = {digest('source 1')}\n" in profile.read_text()


def test_a_source_that_was_replaced_needs_a_person(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (profile.parent / "tool-1.tar.gz").write_text("wicked")
    before = profile.read_text()
    told = refused(capsys, "lock", str(profile))
    assert (told["reference"], told["context"]["got"]) == ("source-changed", digest("wicked"))
    assert profile.read_text() == before
    assert entry.run(["lock", str(profile), "--accept"]) == 0
    assert f"sha256 = {digest('wicked')}\n" in profile.read_text()


def test_what_cannot_be_done(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = profile.read_text()
    path = str(profile)
    assert refused(capsys, "lock", path, "tool", "--version", "3")["reference"] == "source-unreachable"
    assert refused(capsys, "lock", path, "page")["reference"] == "part-without-pins"
    assert refused(capsys, "lock", path, "other")["reference"] == "part-without-pins"
    assert refused(capsys, "lock", f"{path}.no")["reference"] == "missing-profile"
    assert profile.read_text() == before
    profile.write_text(before.replace("/tool-${:version}", "/${other:place}"))
    assert refused(capsys, "lock", path)["reference"] == "unknown-address"
    profile.write_text(before + "\n[more]\n" + before[before.index("recipe") : before.index("\n[page]")])
    assert refused(capsys, "lock", path, "--version", "2")["reference"] == "version-of-many"
    profile.write_text("[deb]\nrecipe = hyperopenx:debian\npackages =\n")
    assert refused(capsys, "lock", path)["reference"] == "no-packages"
    profile.write_text("nonsense")
    assert refused(capsys, "lock", path)["kind"] == "ProfileError"
