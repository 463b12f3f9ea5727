"""Builds that fail: what the packager did wrong, where, and what the next run keeps."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from slapos.build.release import release_directory
from slapos.model.states import SupplyReport
from tests.functional.bad_input.harness import Bench

COMPILER = "hello.c:3: error: expected ';'"
INSTANCE = """
[instance.cfg]
recipe = hyperopenx:template
output = ${buildout:directory}/instance.cfg
inline =
  [buildout]
  parts =
"""
CHECKED = """[buildout]
parts = whole source

[whole]
recipe = hyperopenx:template
output = ${{buildout:directory}}/whole
inline = built once

[source]
recipe = hyperopenx:download
url = ${{:_profile_base_location_}}/source.txt
sha256 = {sha256}
"""
COMPILED = """[buildout]
parts = whole tool instance.cfg

[whole]
recipe = hyperopenx:template
output = ${{buildout:directory}}/whole
inline = built once

[tool]
recipe = hyperopenx:cmmi
url = ${{:_profile_base_location_}}/{name}
sha256 = {sha256}
make-options = PREFIX=@@LOCATION@@
"""


def errors_of(bench: Bench) -> dict[str, dict[str, Any]]:
    """What ``slapos computer info`` says is behind the failure of each supply; also while it is tried again."""
    supplies = bench.person.json("computer", "info", bench.node.reference).data["supplies"]
    assert all(item["sentence"] == item["error"]["message"] for item in supplies if item["reported"] == "error")
    return {item["release"]: item["error"] for item in supplies}


def failure_of(bench: Bench, release: str) -> dict[str, Any]:
    """That of one supply, once it failed."""
    bench.settled(release, SupplyReport.ERROR)
    return errors_of(bench)[release]


def build_now(bench: Bench, releases: str) -> None:
    said = bench.person.json("node", "software", "--only", releases)
    assert [item["sentence"] for item in said.data] == ["built"] * len(said.data)


def files_below(*directories: str) -> list[str]:
    return [os.path.join(top, name) for start in directories for top, _, names in os.walk(start) for name in names]


def test_wrong_checksum(bench: Bench) -> None:
    release = bench.new_release("checksum", CHECKED.format(sha256="0" * 64))
    source = Path(bench.release("checksum", "source.txt"))
    source.write_text("not what was pinned")
    got = hashlib.sha256(source.read_bytes()).hexdigest()
    bench.supply(release)
    error = failure_of(bench, release)
    assert error["reference"] == "wrong-checksum"
    assert (error["context"]["expected"], error["context"]["got"]) == (["0" * 64], got)
    assert error["context"]["url"] == str(source)
    assert (error["context"]["part"], error["context"]["file"], error["context"]["line"]) == ("source", release, 10)
    assert "replaced upstream" in error["hint"]
    assert f"source: {source} has the sha256 {got}, expected was {'0' * 64}" in error["message"]

    directory = release_directory(bench.node.config.software_root, release)
    cache = bench.node.config.download_cache
    left = [path for path in files_below(directory, cache) if Path(path).read_bytes() == source.read_bytes()]
    assert left == []
    whole = os.stat(os.path.join(directory, "whole"))

    Path(release).write_text(CHECKED.format(sha256=got))
    build_now(bench, release)
    after = os.stat(os.path.join(directory, "whole"))
    assert (after.st_ino, after.st_mtime_ns) == (whole.st_ino, whole.st_mtime_ns)
    assert bench.settled(release, SupplyReport.AVAILABLE).error == {}


WRONG_PROFILES = {
    "an option that another section lacks": (
        "[buildout]\nparts = a\n\n[a]\nrecipe = hyperopenx:template\noutput = x\ninline = ${b:titel}\n[b]\ntitle = x\n",
        ("missing-option", 7, "a", "inline"),
        "${b:titel}",
    ),
    "a mandatory option of a recipe": (
        "[buildout]\nparts = a\n[a]\nrecipe = hyperopenx:download\nurl = file:///x\n",
        ("missing-option", 4, "a", "sha256"),
        "mandatory",
    ),
    "a section that does not exist": (
        "[buildout]\nparts = a\n[a]\nrecipe = hyperopenx:template\noutput = x\ninline = ${c:x}\n",
        ("missing-section", 6, "a", "inline"),
        "${c:x}",
    ),
    "a part that does not exist": (
        "[buildout]\nparts =\n  a\n",
        ("missing-section", 2, "buildout", "parts"),
        "[a]",
    ),
    "options that need each other": (
        "[buildout]\nparts = a\n[a]\nrecipe = hyperopenx:template\noutput = x\ninline = ${:x}\nx = ${:y}\ny = ${:x}\n",
        ("cycle", 7, "a", "x"),
        "a:x → a:y → a:x",
    ),
    "sections that extend each other": (
        "[buildout]\nparts = a\n[a]\n<= b\n[b]\n<= a\nrecipe = hyperopenx:template\n",
        ("cycle", 4, "a", ""),
        "a <= b <= a",
    ),
    "a profile that extends itself": (
        "[buildout]\nextends = software.cfg\nparts =\n",
        ("cycle", 2, "buildout", "extends"),
        "extends itself",
    ),
    "a recipe that does not exist": (
        "[buildout]\nparts = a\n[a]\nrecipe = hyperopenx:downlaod\n",
        ("unknown-recipe", 4, "a", "recipe"),
        "hyperopenx:downlaod",
    ),
    "what is no profile": ("[buildout]\nparts =\nno option\n", ("invalid-profile", 3, "", ""), "no option"),
}


@pytest.fixture(scope="module")
def failures(bench: Bench) -> dict[str, tuple[str, dict[str, Any]]]:
    """Each wrong profile built, what it is → (release, error that ``slapos computer info`` shows)."""
    releases = {
        what: bench.new_release(f"wrong-{number}", profile[0])
        for number, (what, profile) in enumerate(WRONG_PROFILES.items())
    }
    for release in releases.values():
        bench.operator.supply(bench.node.reference, release)
    for release in releases.values():
        bench.settled(release, SupplyReport.ERROR)
    errors = errors_of(bench)
    return {what: (release, errors[release]) for what, release in releases.items()}


@pytest.mark.parametrize("what", WRONG_PROFILES)
def test_wrong_profile(failures: dict[str, tuple[str, dict[str, Any]]], what: str) -> None:
    (release, error), (_, place, words) = failures[what], WRONG_PROFILES[what]
    context = error["context"]
    got = (error["reference"], context["line"], context.get("section", ""), context.get("option", ""))
    assert (got, context["file"]) == (place, release), error
    assert error["message"].startswith(f"{release}:{place[1]}")
    assert words in error["message"]


def test_corrected_profiles_are_built(bench: Bench, failures: dict[str, tuple[str, dict[str, Any]]]) -> None:
    releases = [release for release, _ in failures.values()]
    for release in releases:
        Path(release).write_text("[buildout]\nparts =\n")
    build_now(bench, ",".join(releases))
    assert [errors_of(bench)[release] for release in releases] == [{}] * len(releases)


def pack(bench: Bench, name: str, makefile: str) -> str:
    """A source for cmmi; its sha256."""
    path = bench.release("compiled", name)
    with tarfile.open(path, "w:gz") as archive:
        for member, text, mode in (("configure", "#!/bin/sh\n", 0o755), ("Makefile", makefile, 0o644)):
            info = tarfile.TarInfo(f"tool/{member}")
            info.size, info.mode = len(text), mode
            archive.addfile(info, io.BytesIO(text.encode()))
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_failing_compilation(bench: Bench) -> None:
    lines = "\t@for i in $$(seq 1 60); do echo line $$i; done\n"
    release = bench.new_release("compiled", "")
    sha256 = pack(bench, "bad.tar.gz", f'all:\n{lines}\t@echo "{COMPILER}" >&2; exit 3\ninstall:\n')
    Path(release).write_text(COMPILED.format(name="bad.tar.gz", sha256=sha256) + INSTANCE)
    bench.supply(release)
    error = failure_of(bench, release)
    assert error["reference"] == "build-command-failed"
    assert error["message"].startswith("tool: The command 'make ")
    assert error["message"].endswith("failed with status 2.")
    tail, log = error["context"]["tail"], error["context"]["log"]
    assert (COMPILER in tail, "line 60" in tail, "line 1" in tail) == (True, True, False)
    whole_log = Path(log).read_text().splitlines()
    assert "line 1" in whole_log
    assert log in error["hint"]

    shown = bench.person.slapos("computer", "info", bench.node.reference).out
    assert shown.count(log) == 1
    assert COMPILER in shown
    by_hand = bench.person.slapos("node", "software", "--only", release)
    assert by_hand.code == 1
    assert COMPILER in by_hand.out
    assert log in by_hand.out

    ordered = bench.person.json("request", "of-failing", release, "--wait", "--timeout", "2")
    assert (ordered.code, ordered.error["reference"]) == (70, "release-fails")
    assert COMPILER in ordered.error["context"]["tail"]
    seen = bench.waits_for("of-failing", health="waiting", sentence="whose build failed: tool: The command 'make ")
    assert seen["error"]["context"]["log"] == log
    assert COMPILER in bench.person.slapos("service", "info", "of-failing").out

    directory = release_directory(bench.node.config.software_root, release)
    whole = os.stat(os.path.join(directory, "whole"))
    good = pack(bench, "good.tar.gz", "all:\ninstall:\n\tmkdir -p $(DESTDIR)$(PREFIX)/bin\n")
    Path(release).write_text(COMPILED.format(name="good.tar.gz", sha256=good) + INSTANCE)
    build_now(bench, release)
    assert os.stat(os.path.join(directory, "whole")).st_ino == whole.st_ino
    assert bench.waits_for("of-failing", health="ok")["error"] == {}
    bench.destroy("of-failing")
