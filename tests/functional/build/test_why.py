"""``slapos build`` and ``slapos why`` on a release that was really built: each kind of changed input has its name."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slapos.build import recipe
from slapos.build.cache.places import open_place
from slapos.build.cache.publish import push
from slapos.build.cache.signing import SigningKey
from slapos.build.profile import stored
from slapos.build.sandbox import available
from slapos.build.store.store import Store
from slapos.build.toolchain import host_toolchain
from slapos.cli import main as entry
from slapos.cookbook.cmmi import Cmmi

MAKEFILE = """
all:
\techo "$(WORDS)" > out
install:
\tmkdir -p $(DESTDIR)$(PREFIX)
\tcp out text $(DESTDIR)$(PREFIX)/
"""
PATCH = "--- text\n+++ text\n@@ -1 +1 @@\n-before\n+{}\n"
PROFILE = """
[buildout]
parts = top page
[low]
recipe = hyperopenx:cmmi
url = file://{tarball}
sha256 = {sha256}
patches = {patch}
make-options = PREFIX=@@LOCATION@@ {words}
environment = settings
[settings]
CFLAGS = {flags}
[top]
recipe = hyperopenx:cmmi
url = file://{tarball}
sha256 = {sha256}
make-options = PREFIX=@@LOCATION@@ WORDS=${{low:location}}
[page]
recipe = hyperopenx:template
inline = x
output = ${{buildout:directory}}/page
"""


@dataclass
class Made:
    """A release below ``directory`` that was built, and what its profile is written from."""

    directory: Path
    values: dict[str, str]

    @property
    def profile(self) -> Path:
        return self.directory / "software.cfg"

    def write(self, **values: str) -> None:
        self.profile.write_text(PROFILE.format(**self.values | values))


def tarball(path: Path, text: str) -> str:
    """An archive with a makefile; its sha256."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in (("Makefile", MAKEFILE), ("text", text)):
            data = content.encode()
            member = tarfile.TarInfo(f"tool-1/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    directory = tmp_path_factory.mktemp("why")
    (directory / "fix.patch").write_text(PATCH.format("after"))
    values = {
        "tarball": str(directory / "tool.tar.gz"),
        "sha256": tarball(directory / "tool.tar.gz", "before\n"),
        "patch": str(directory / "fix.patch"),
        "words": "WORDS=one",
        "flags": "-O2",
    }
    made = Made(directory, values)
    made.write()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HYPEROPENX_STATE", str(directory / "state"))
        assert entry.run(["build", str(made.profile)]) == 0
        yield made


@pytest.fixture
def again(built: Made) -> Iterator[Made]:
    """As built, whatever a test changed."""
    yield built
    built.write()
    (built.directory / "fix.patch").write_text(PATCH.format("after"))


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert entry.run([*words, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert entry.run(list(words)) == 0
    return capsys.readouterr().out


def why(made: Made, capsys: pytest.CaptureFixture[str], part: str = "top") -> Any:
    return answer(capsys, "why", part, str(made.profile))


def root_of(told: Any, kind: str) -> Any:
    """The one thing that somebody changed, behind the dependency through which it reached the part."""
    assert told["state"] == "build"
    assert [cause["sentence"] for cause in told["causes"]] == ["low changed"]
    (root,) = told["roots"]
    assert root["kind"] == kind
    return root


def test_what_is_built_is_present_and_nothing_changed(again: Made, capsys: pytest.CaptureFixture[str]) -> None:
    told = why(again, capsys)
    assert (told["state"], told["causes"]) == ("present", [])
    assert told["built"]["inputs"]["part"] == "top"
    assert [step["sentence"] for step in why(again, capsys, "low")["needed_by"]] == [
        f"[buildout] parts names top ({again.profile}:3)",
        f"top needs low: option `make-options` refers to ${{low:location}} ({again.profile}:17)",
    ]
    plan = answer(capsys, "build", str(again.profile), "--plan")
    assert plan["states"] == {"present": 2, "cached": 0, "build": 0, "private": 1, "opaque": 0, "problem": 0}
    assert (plan["seconds"], plan["download_bytes"]) == (0.0, 0)


def test_an_option(again: Made, capsys: pytest.CaptureFixture[str]) -> None:
    again.write(words="WORDS=two")
    root = root_of(why(again, capsys), "option")
    assert root["sentence"] == (
        "option `make-options` changed: PREFIX=@@LOCATION@@ WORDS=one → PREFIX=@@LOCATION@@ WORDS=two"
    )
    assert root["origin"] == {"file": str(again.profile), "line": 9}


def test_an_option_of_a_section_that_is_named(again: Made, capsys: pytest.CaptureFixture[str]) -> None:
    again.write(flags="-O3")
    root = root_of(why(again, capsys), "option")
    assert root["sentence"] == "option `settings CFLAGS` changed: -O2 → -O3"
    assert root["origin"] == {"file": str(again.profile), "line": 12}


def test_a_source(again: Made, capsys: pytest.CaptureFixture[str]) -> None:
    other = again.directory / "other.tar.gz"
    sha256 = tarball(other, "before\nmore\n")
    text = again.profile.read_text()
    low, rest = text.split("[top]")
    again.profile.write_text(low.replace(again.values["sha256"], sha256) + "[top]" + rest)
    root = root_of(why(again, capsys), "source")
    assert (root["old"], root["new"]) == (again.values["sha256"], sha256)
    assert "the accepted sha256 of source 1 changed" in root["sentence"]
    assert root["origin"]["line"] == 7


def test_a_patch(again: Made, capsys: pytest.CaptureFixture[str]) -> None:
    (again.directory / "fix.patch").write_text(PATCH.format("otherwise"))
    root = root_of(why(again, capsys), "patch")
    assert root["sentence"] == "the patch fix.patch changed"
    assert root["origin"]["line"] == 8


def test_the_version_of_a_recipe(
    again: Made, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe.identity.cache_clear()
    monkeypatch.setattr(Cmmi, "interface", Cmmi.interface + 1)
    try:
        told = why(again, capsys, "low")
    finally:
        recipe.identity.cache_clear()
    (root,) = told["roots"]
    assert (root["kind"], root["origin"]["line"]) == ("identity", 5)
    assert root["sentence"] == "the recipe hyperopenx:cmmi has another interface: 1 → 2"


def test_a_dependency(again: Made, capsys: pytest.CaptureFixture[str]) -> None:
    again.write(words="WORDS=two")
    (cause,) = why(again, capsys)["causes"]
    assert (cause["kind"], cause["name"], cause["sentence"]) == ("dependency", "low", "low changed")
    assert cause["origin"] == {"file": str(again.profile), "line": 17}, "the option that names it"


def test_the_toolchain(again: Made, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    gcc = host_toolchain()["gcc"]
    monkeypatch.setattr(stored, "host_toolchain", lambda *more: {**host_toolchain(*more), "gcc": "99.1-1"})
    told = why(again, capsys, "low")
    assert [root["sentence"] for root in told["roots"]] == [f"gcc {gcc} → 99.1-1"]
    both = why(again, capsys)
    assert {cause["sentence"] for cause in both["causes"]} == {"low changed", f"gcc {gcc} → 99.1-1"}
    assert len(both["roots"]) == 1, "one root, though it reached the part on two ways"


def test_people_see_the_chain(again: Made, capsys: pytest.CaptureFixture[str]) -> None:
    again.write(words="WORDS=two")
    lines = shown(capsys, "why", "top", str(again.profile)).splitlines()
    assert lines[0].startswith("top  build  low changed")
    assert lines[1].startswith("└── low changed")
    assert lines[2].startswith("    └── option `make-options` changed:")
    assert lines[2].rstrip().endswith("software.cfg:9")
    plan = shown(capsys, "build", str(again.profile), "--plan").splitlines()
    assert plan[1].startswith("├── top  build  low changed")
    assert plan[2].startswith("│   └── low  build  option `make-options` changed:")
    assert plan[3].startswith("└── 1 is made in the release's directory: page")
    assert plan[5].startswith("2 to build, 1 made in the release's directory.")


def test_after_the_build_the_reason_is_still_known(again: Made, capsys: pytest.CaptureFixture[str]) -> None:
    again.write(words="WORDS=three")
    assert entry.run(["build", str(again.profile)]) == 0
    told = why(again, capsys)
    assert told["state"] == "present"
    assert [root["new"] for root in told["roots"]] == ["PREFIX=@@LOCATION@@ WORDS=three"]
    again.write()
    assert entry.run(["build", str(again.profile)]) == 0  # both are in the store: the release has the first again
    assert why(again, capsys)["causes"] == []


def test_a_part_that_was_removed_is_built_without_a_change(again: Made, capsys: pytest.CaptureFixture[str]) -> None:
    told = answer(capsys, "why", "low", str(again.profile), "--store", str(again.directory / "other-store"))
    assert (told["state"], told["reason"]) == ("build", "it was never built here")


def test_a_part_that_is_none(again: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["why", "lov", str(again.profile)]) == 3
    told = capsys.readouterr().err
    assert "has no part 'lov'" in told and "Did you mean low?" in told


def test_parts_of_a_cache_are_planned_and_taken(
    again: Made, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store, key = Store((str(again.directory / "state/build/store"),)), SigningKey.new()
    place = open_place(str(tmp_path / "cache"))
    archives = [push(found, store, place, key).size for found in store.parts()]
    where = ["--store", str(tmp_path / "empty"), "--cache", str(tmp_path / "cache"), "--key", key.public.text]
    plan = answer(capsys, "build", str(again.profile), "--plan", *where)
    assert {line["part"]: line["state"] for line in plan["parts"]} == {
        "low": "cached",
        "top": "cached",
        "page": "private",
    }
    assert 0 < plan["download_bytes"] <= sum(archives) and plan["seconds"] == 0.0
    strange = [*where[:-1], SigningKey.new().public.text]
    doubted = answer(capsys, "build", str(again.profile), "--plan", *strange)
    assert doubted["states"]["build"] == 2 and len(doubted["refusals"]) == 2
    directory = ["--directory", str(tmp_path / "release")]
    assert answer(capsys, "build", str(again.profile), *where, *directory)["outcome"] == "done"
    assert answer(capsys, "why", "low", str(again.profile), *where, *directory)["state"] == "present"
    assert not (tmp_path / "release/.build-log/low.log").exists(), "it was not compiled"


@pytest.mark.skipif(bool(available()), reason="a part is built twice for one place in a sandbox only")
def test_a_part_is_checked_beside_the_release(
    again: Made, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONLY_HERE", "1")
    told = answer(capsys, "build", str(again.profile), "--check", "top")
    assert (told["part"], told["difference"]) == ("top", None)
    assert os.environ["ONLY_HERE"] == "1"
    assert entry.run(["build", str(again.profile), "--check", "tap"]) == 3
    assert "has no part 'tap'" in capsys.readouterr().err
    assert why(again, capsys)["state"] == "present", "the release is as it was"
