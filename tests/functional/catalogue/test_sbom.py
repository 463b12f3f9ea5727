"""``slapos sbom`` on a release that was really built."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slapos.build.look import Release
from slapos.build.release import build_job, prepare, record_build
from slapos.build.run import execute
from slapos.catalogue.sbom.document import require_valid, sbom_text
from slapos.catalogue.sbom.gather import gather
from slapos.cli import main as entry
from tests.functional.catalogue.small import Small, build_small


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    directory = tmp_path_factory.mktemp("sbom")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HYPEROPENX_STATE", str(directory / "state"))
        yield build_small(directory)


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert entry.run(list(words)) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert entry.run([*words, "--format", "json"]) != 0
    error: dict[str, Any] = json.loads(capsys.readouterr().err)["error"]
    return error


def test_every_part_with_all_that_is_known(built: Small, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "sbom", str(built.profile))
    require_valid(text)
    document = json.loads(text)
    parts = {component["name"]: component for component in document["components"]}
    assert {name: (part["type"], part["scope"]) for name, part in parts.items()} == {
        "low": ("library", "required"),
        "tool": ("application", "excluded"),
        "top": ("application", "required"),
        "page": ("file", "required"),
    }
    low = parts["low"]
    assert (low["version"], low["description"]) == ("2.1", "a library without content.")
    assert low["purl"].startswith(f"pkg:generic/low@2.1?checksum=sha256:{built.sha256}&")
    assert [issue["id"] for issue in low["pedigree"]["patches"][0]["resolves"]] == ["CVE-2026-1234"]
    edges = {edge["ref"]: edge.get("dependsOn", []) for edge in document["dependencies"]}
    assert edges["part:top"] == ["part:low", "part:tool"]
    assert edges["release"] == ["part:page", "part:top"]
    facts = {fact["name"] for fact in document["metadata"]["properties"]}
    assert {"hyperopenx:toolchain:gcc", f"hyperopenx:profile:{built.low}"} <= facts


def test_into_a_file_and_the_same_each_time(built: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sbom.json"
    assert "4 parts" in shown(capsys, "sbom", str(built.profile), "--output", str(file))
    assert file.read_text() == shown(capsys, "sbom", str(built.profile))


def test_of_what_is_not_built(built: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, "sbom", str(built.profile), "--directory", str(tmp_path))
    assert told["reference"] == "release-not-built"
    assert "slapos build" in told["hint"]


def test_a_profile_that_changed_since(built: Small, capsys: pytest.CaptureFixture[str]) -> None:
    kept = built.low.read_text()
    built.low.write_text(kept.replace("Zlib", "MIT"))
    try:
        told = refused(capsys, "sbom", str(built.profile))
    finally:
        built.low.write_text(kept)
    assert (told["reference"], told["context"]["profile"]) == ("profile-changed", str(built.low))


def test_a_patch_that_is_gone(built: Small, capsys: pytest.CaptureFixture[str]) -> None:
    patch = built.low.parent / "CVE-2026-1234.patch"
    kept = patch.read_text()
    patch.unlink()
    try:
        told = refused(capsys, "sbom", str(built.profile))
    finally:
        patch.write_text(kept)
    assert told["reference"] == "profile-changed"
    assert str(patch) in told["message"]


def test_a_store_that_lost_a_part(built: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, "sbom", str(built.profile), "--store", str(tmp_path / "empty"))
    assert told["reference"] == "part-not-in-store"
    assert told["context"]["part"] in {"low", "tool", "top"}
    assert "--store" in told["hint"]


def test_a_release_without_a_store(built: Small, tmp_path: Path) -> None:
    directory = str(tmp_path / "release")
    release = Release(url=str(built.profile), profile=str(built.profile), directory=directory, stores=("/nowhere",))
    prepare(directory, release.url)
    result = execute(build_job(directory=directory, url=release.url, log=str(tmp_path / "log")))
    record_build(directory, release.url, result)
    told = gather(release)
    parts = {part.name: part for part in told.parts}
    assert {name: part.kind for name, part in parts.items()} == {
        "low": "library",
        "tool": "application",
        "top": "application",
        "page": "file",
    }
    low = parts["low"]
    assert (low.digest, low.location) == ("", f"{directory}/parts/low")
    patch = hashlib.sha256((built.low.parent / "CVE-2026-1234.patch").read_bytes()).hexdigest()
    assert low.patches == (("CVE-2026-1234.patch", patch),)
    require_valid(sbom_text(told))
