"""Which parts of a profile are stored, what their digest covers, and how they are built."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from slapos.build import toolchain
from slapos.build.cache.places import DirectoryPlace
from slapos.build.cache.publish import push
from slapos.build.cache.settings import CacheSettings
from slapos.build.cache.signing import SigningKey
from slapos.build.profile import stored as stored_module
from slapos.build.recipe import identity
from slapos.build.store import store as store_module
from slapos.build.store.content import content_digest
from slapos.build.store.inputs import differences
from slapos.build.store.store import Store
from slapos.build.store.users import used_parts
from tests.unit.build.profiles import outcomes_of
from tests.unit.build.stored import Make, build, read, section, stored, whole

TWO = """
[buildout]
parts = tool file
[library]
recipe = test:make
version = 1
[tool]
recipe = test:make
make = echo ${library:location} > "$OUT/names"
[file]
recipe = test:write
text = ${tool:location}
"""


def test_a_stored_part_has_a_place_in_the_store_and_others_refer_to_it(tmp_path: Path) -> None:
    result = build(tmp_path, TWO)
    assert result.outcome == "done", result.sentence
    tool = stored(tmp_path, TWO)
    assert tool.location == f"{tmp_path}/store/tool/{tool.inputs.digest}"
    assert (tmp_path / "work" / "file").read_text() == tool.location
    assert not (tmp_path / "work" / "parts").exists()
    library = stored(tmp_path, TWO, "library")
    assert Path(tool.location, "names").read_text() == f"{library.location}\n"
    assert tool.inputs.dependencies == {"library": library.inputs.digest}
    assert result.stored == {"library": library.inputs.digest, "tool": tool.inputs.digest}


def test_a_second_release_finds_the_parts_of_the_first(tmp_path: Path) -> None:
    build(tmp_path, TWO)
    before = {path: path.stat().st_ino for path in (tmp_path / "store").glob("[a-z]*/*")}
    other = tmp_path / "other"
    other.mkdir()
    result = build(other, TWO, store=tmp_path / "store")
    assert result.outcome == "done", result.sentence
    assert {path: path.stat().st_ino for path in (tmp_path / "store").glob("[a-z]*/*")} == before


def test_nothing_changes_in_a_second_run(tmp_path: Path) -> None:
    build(tmp_path, TWO)
    assert {part.outcome for part in build(tmp_path, TWO).parts} == {"kept"}


def test_a_part_that_somebody_removed_is_built_again(tmp_path: Path) -> None:
    build(tmp_path, TWO)
    before = whole(tmp_path / "store")
    tool = stored(tmp_path, TWO)
    Store((str(tmp_path / "store"),)).remove("tool", tool.inputs.digest)
    assert outcomes_of(build(tmp_path, TWO)) == {"library": "kept", "tool": "installed", "file": "kept"}
    assert whole(tmp_path / "store") == before


def test_a_stored_part_is_read_only_and_its_record_says_how_it_was_made(tmp_path: Path) -> None:
    build(tmp_path, TWO)
    tool = stored(tmp_path, TWO)
    record = Store((str(tmp_path / "store"),)).record("tool", tool.inputs.digest)
    assert record is not None
    assert record.inputs == tool.inputs
    assert record.content == content_digest(tool.location)
    assert record.references == (f"library/{tool.inputs.dependencies['library']}",)
    assert record.seconds.keys() == {"make"}
    assert record.sandbox == "none: switched off by [buildout] sandbox"
    for path in (tool.location, f"{tool.location}/names"):
        assert os.stat(path).st_mode & 0o222 == 0


def test_a_private_part_says_why(tmp_path: Path) -> None:
    text = """
    [buildout]
    parts =
    [asked]
    recipe = test:make
    private = true
    [placed]
    recipe = test:make
    location = /somewhere
    [user]
    recipe = test:make
    make = ${asked:location}
    [through]
    recipe = test:make
    make = ${between:value}
    [between]
    value = ${asked:location}
    [here]
    recipe = test:make
    make = cp ${buildout:directory}/file $OUT
    [beside]
    recipe = test:make
    make = cp ${:_profile_base_location_}/file $OUT
    [a+b]
    recipe = test:make
    [written]
    recipe = test:write
    """
    buildout = read(tmp_path, text)
    reasons = {part: buildout[part].private for part in buildout if part not in ("buildout", "versions", "between")}
    assert reasons == {
        "asked": "it is to be private",
        "placed": "its option `location` chooses another place",
        "user": "it uses asked, which is not in the store: it is to be private",
        "through": "it uses asked, which is not in the store: it is to be private",
        "here": "its option `make` names the directory of the release",
        "beside": "its option `make` names a file beside the profile",
        "a+b": "its name cannot be that of a directory in the store",
        "written": "test:write makes parts of one release",
    }


def test_without_a_store_all_is_as_it_was(tmp_path: Path) -> None:
    buildout = read(tmp_path, TWO, store=" ")
    assert buildout.store is None
    assert buildout["tool"]["location"] == str(tmp_path / "work" / "parts" / "tool")


PLAIN = """
[buildout]
parts = tool
[settings]
flag = {flag}
[library]
recipe = test:make
version = {library}
[tool]
recipe = test:make
url = {url}
sha256 = {sha256}
mirrors = {mirrors}
patches = {patch}
settings = settings
configure = --with-{option}
needs = ${{library:location}}
"""
VALUES = {
    "flag": "1",
    "library": "1",
    "url": "https://one.invalid/a.tar.gz",
    "mirrors": "https://two.invalid/a.tar.gz",
    "sha256": "a" * 64,
    "option": "ssl",
}


@pytest.fixture
def patch(tmp_path: Path) -> Path:
    path = tmp_path / "fix.patch"
    path.write_text("one")
    return path


def plain(tmp_path: Path, patch: Path, **values: str) -> str:
    return PLAIN.format(**(VALUES | {"patch": str(patch)} | values))


def changes(tmp_path: Path, old: str, new: str) -> list[str]:
    before, after = stored(tmp_path, old).inputs, stored(tmp_path, new).inputs
    assert (before.digest == after.digest) == (not differences(before, after))
    return [difference.sentence for difference in differences(before, after)]


@pytest.mark.parametrize(
    ("values", "sentences"),
    [
        ({"url": "https://three.invalid/b.tar.gz", "mirrors": ""}, []),
        ({"option": "tls"}, ["option `configure` changed: --with-ssl → --with-tls"]),
        ({"sha256": "b" * 64}, ["the accepted sha256 of source 1 changed: aaaaaaaaaaaa… → bbbbbbbbbbbb…"]),
        ({"flag": "2"}, ["option `settings flag` changed: 1 → 2"]),
    ],
)
def test_each_input_counts_and_where_a_source_comes_from_does_not(
    tmp_path: Path, patch: Path, values: dict[str, str], sentences: list[str]
) -> None:
    assert changes(tmp_path, plain(tmp_path, patch), plain(tmp_path, patch, **values)) == sentences


def test_a_patch_counts_by_its_content(tmp_path: Path, patch: Path) -> None:
    before = stored(tmp_path, plain(tmp_path, patch)).inputs
    renamed = tmp_path / "other.patch"
    patch.rename(renamed)
    assert stored(tmp_path, plain(tmp_path, renamed)).inputs.digest == before.digest
    renamed.write_text("two")
    renamed.rename(patch)
    after = stored(tmp_path, plain(tmp_path, patch)).inputs
    assert [change.sentence for change in differences(before, after)] == ["the patch fix.patch changed"]


def test_a_dependency_counts(tmp_path: Path, patch: Path) -> None:
    found = changes(tmp_path, plain(tmp_path, patch), plain(tmp_path, patch, library="2"))
    assert found[-1] == "library changed"


def test_the_recipe_counts(tmp_path: Path, patch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored(tmp_path, plain(tmp_path, patch)).inputs
    monkeypatch.setattr(Make, "interface", 2)
    identity.cache_clear()
    after = stored(tmp_path, plain(tmp_path, patch)).inputs
    identity.cache_clear()
    kinds = {change.kind for change in differences(before, after)}
    assert kinds == {"identity", "dependency", "option"}, "also of the library, which the tool names"


def test_the_toolchain_counts(tmp_path: Path, patch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"gcc": "12.2.0-14", "make": "4.3-4.1"}
    monkeypatch.setattr(stored_module, "host_toolchain", lambda packages: dict(versions))
    before = stored(tmp_path, plain(tmp_path, patch)).inputs
    versions["gcc"] = "12.2.0-15"
    after = stored(tmp_path, plain(tmp_path, patch)).inputs
    assert differences(before, after)[-1].sentence == "gcc 12.2.0-14 → 12.2.0-15"
    assert toolchain.host_toolchain() != versions, "what the machine really has is asked elsewhere"


def test_parts_may_be_the_toolchain(tmp_path: Path) -> None:
    text = """
    [buildout]
    parts = tool
    toolchain = compiler
    [arithmetic]
    recipe = test:make
    [compiler]
    recipe = test:make
    make = mkdir $OUT/bin; printf '#!/bin/sh\\necho compiled by ${arithmetic:_buildout_section_name_}' > $OUT/bin/cc99
           chmod +x $OUT/bin/cc99
    [tool]
    recipe = test:make
    make = cc99 > $OUT/file
    """
    buildout = read(tmp_path, text)
    found = {part: buildout[part].stored.inputs for part in ("arithmetic", "compiler", "tool")}
    assert found["arithmetic"].toolchain == found["compiler"].toolchain == dict(toolchain.host_toolchain())
    assert found["arithmetic"].dependencies == {}
    assert found["tool"].toolchain == {}
    assert found["tool"].dependencies == {"compiler": found["compiler"].digest}
    assert build(tmp_path, text).outcome == "done"
    assert Path(stored(tmp_path, text).location, "file").read_text() == "compiled by arithmetic\n"


def test_the_digest_is_the_same_in_every_store_and_release(tmp_path: Path) -> None:
    first = stored(tmp_path, TWO).inputs
    other = tmp_path / "an" / "other place"
    other.mkdir(parents=True)
    second = stored(other, TWO, store=tmp_path / "a longer name of a store")
    assert second.inputs == first
    assert second.inputs.digest == first.digest


def test_what_fails_does_not_keep_others_from_the_store(tmp_path: Path) -> None:
    text = """
    [buildout]
    parts = bad user good
    [bad]
    recipe = test:make
    make = echo so it went; false
    [user]
    recipe = test:make
    make = ${bad:location}
    [good]
    recipe = test:make
    [worse]
    recipe = test:make
    make = exit 3
    """.replace("parts = bad", "parts = worse bad")
    result = build(tmp_path, text)
    assert outcomes_of(result) == {"worse": "failed", "bad": "failed", "user": "blocked", "good": "installed"}
    assert {error["context"]["part"] for error in result.errors} == {"worse", "bad"}
    assert next(error for error in result.errors if error["context"]["part"] == "bad")["context"]["tail"][-1] == (
        "so it went"
    )
    assert [name.partition("/")[0] for name in whole(tmp_path / "store")] == ["good"]
    assert os.listdir(tmp_path / "store" / ".work") == []


def test_sources_are_fetched_before_anything_is_built(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("bytes")
    digest = hashlib.sha256(b"bytes").hexdigest()
    text = f"""
    [buildout]
    parts = tool other
    [tool]
    recipe = test:make
    url = {source}
    sha256 = {digest}
    make = cp $SOURCE $OUT/file
    [other]
    recipe = test:make
    url = {tmp_path}/nothing
    sha256 = {"0" * 64}
    """
    result = build(tmp_path, text)
    assert outcomes_of(result) == {"tool": "installed", "other": "failed"}
    assert "cannot be had" in result.sentence


def test_the_store_knows_who_uses_what(tmp_path: Path) -> None:
    build(tmp_path, TWO)
    store = Store((str(tmp_path / "store"),))
    used = used_parts(store)[str(tmp_path / "work")]
    assert sorted(name.partition("/")[0] for name in used) == ["library", "tool"]
    build(tmp_path, TWO.replace("version = 1", "version = 2"))
    after = used_parts(store)[str(tmp_path / "work")]
    assert not set(after) & set(used), "what only the former release used is not used any more"
    shutil.rmtree(tmp_path / "work")
    assert used_parts(store) == {}


def test_a_section_without_recipe_counts_by_what_it_leads_to(tmp_path: Path) -> None:
    text = TWO.replace("${library:location}", "${between:way}") + "[between]\nway = ${library:location}\n"
    assert section(tmp_path, text).stored.inputs.dependencies.keys() == {"library"}


def test_what_only_building_needs_is_not_built_for_parts_from_a_cache(tmp_path: Path) -> None:
    text = """
    [buildout]
    parts = file
    [generator]
    recipe = test:make
    [library]
    recipe = test:make
    [tool]
    recipe = test:make
    needs = ${generator:location}
    make = echo ${library:location} > "$OUT/names"
    [file]
    recipe = test:write
    text = ${tool:location}
    """
    key = SigningKey.new()
    cache = DirectoryPlace(str(tmp_path / "cache"))
    assert build(tmp_path, text).outcome == "done"
    store = Store((str(tmp_path / "store"),))
    parts = list(store.parts())
    for part in parts:
        push(part, store, cache, key)
    for part in parts:
        store.remove(part.part, part.digest)
    settings = CacheSettings((str(tmp_path / "cache"),), (key.public.text,))
    result = build(tmp_path, text, **settings.as_options())
    assert outcomes_of(result) == {"library": "kept", "tool": "installed", "file": "kept"}, result.sentence
    assert {part.part: bool(part.record.fetched) for part in store.parts()} == {"library": True, "tool": True}
    again = build(tmp_path, text, **settings.as_options())
    assert outcomes_of(again) == {"library": "kept", "tool": "kept", "file": "kept"}
    for part in list(store.parts()):
        store.remove(part.part, part.digest)
    assert outcomes_of(build(tmp_path, text))["generator"] == "installed", "without a cache all is built"


def test_a_store_that_can_only_be_read_serves_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path, TWO)
    monkeypatch.setattr(store_module, "_can_write", lambda root: False)  # root may write anywhere
    other = tmp_path / "other"
    other.mkdir()
    assert build(other, TWO, store=tmp_path / "store").outcome == "done"
    failed = build(other, TWO.replace("version = 1", "version = 2"), store=tmp_path / "store")
    assert outcomes_of(failed) == {"library": "failed", "tool": "blocked", "file": "blocked"}
    assert "can be written to" in failed.sentence
