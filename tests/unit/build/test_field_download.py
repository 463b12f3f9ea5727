"""``slapos.recipe.build:download`` and ``:download-unpacked``, and parts shared on a machine."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from slapos.build.describing import read_graph
from slapos.model.errors import ProfileError
from tests.unit.build.profiles import make_buildout, outcomes, run_profile, write_profile
from tests.unit.build.test_unpack import make_tar
from tests.unit.build.web import serving

PROFILE = "[buildout]\nparts = d\n{main}\n[d]\nrecipe = slapos.recipe.build:{entry}\nurl = {url}\n{more}\n"


def md5(path: str | Path) -> str:
    return hashlib.md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest()


def profile(url: object, more: str = "", entry: str = "download", main: str = "") -> str:
    return PROFILE.format(url=url, more=more, entry=entry, main=main)


def test_a_file_lies_below_the_parts(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"data")
    text = profile(tmp_path / "data.bin", f"md5sum = {md5(tmp_path / 'data.bin')}\n[show]\nx = ${{d:target}}")
    assert run_profile(tmp_path, text).outcome == "done"
    buildout = make_buildout(tmp_path, text)
    assert buildout["show"]["x"] == f"{tmp_path}/work/parts/d/d"
    assert buildout["d"]["location"] == f"{tmp_path}/work/parts/d"
    assert Path(buildout["d"]["target"]).read_bytes() == b"data"
    (tmp_path / "data.bin").unlink()
    assert outcomes(run_profile(tmp_path, text)) == {"d": "kept"}
    assert run_profile(tmp_path, "[buildout]\nparts =\n").outcome == "done"
    assert not (tmp_path / "work/parts/d").exists()


@pytest.mark.parametrize(("filename", "name"), [("a.txt", "a.txt"), ("folder/b.txt", "b.txt"), ("../c", "c")])
def test_the_last_component_of_a_file_name_counts(tmp_path: Path, filename: str, name: str) -> None:
    (tmp_path / "x").write_text("x")
    assert run_profile(tmp_path, profile(tmp_path / "x", f"filename = {filename}")).outcome == "done"
    assert (tmp_path / "work/parts/d" / name).read_text() == "x"


def test_a_destination_is_the_file_itself(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    text = profile(tmp_path / "x", "destination = ${buildout:directory}/somewhere/file")
    assert run_profile(tmp_path, text).outcome == "done"
    assert (tmp_path / "work/somewhere/file").read_text() == "x"
    with pytest.raises(ProfileError, match="holds the profile"):
        make_buildout(tmp_path, profile(tmp_path / "x", "destination = ${buildout:directory}/.."))["d"]


def test_wrong_bytes_are_not_kept_and_an_alternate_url_serves(tmp_path: Path) -> None:
    (tmp_path / "good").write_text("good")
    (tmp_path / "bad").write_text("bad")
    digest = md5(tmp_path / "good")
    report = run_profile(tmp_path, profile(tmp_path / "bad", f"md5sum = {digest}"))
    assert report.first_error is not None and report.first_error.reference == "wrong-checksum"
    assert digest in report.first_error.message and md5(tmp_path / "bad") in report.first_error.message
    assert not [path for path in (tmp_path / "work").rglob("*") if path.is_file() and path.read_bytes() == b"bad"]
    text = profile(tmp_path / "bad", f"md5sum = {digest}\nalternate-url = file://{tmp_path}/good")
    assert run_profile(tmp_path, text).outcome == "done"
    assert (tmp_path / "work/parts/d/d").read_text() == "good"


def test_without_a_digest_the_file_is_fetched_at_each_run(tmp_path: Path) -> None:
    with serving() as web:
        web.files["/x"] = b"one"
        run_profile(tmp_path, profile(f"{web.url}/x"))
        web.files["/x"] = b"two"
        run_profile(tmp_path, profile(f"{web.url}/x"))
        assert (tmp_path / "work/parts/d/d").read_bytes() == b"two"
        del web.files["/x"]
        report = run_profile(tmp_path, profile(f"{web.url}/x"))
        assert report.first_error is not None and report.first_error.reference == "source-unreachable"
        assert (tmp_path / "work/parts/d/d").read_bytes() == b"two"
        requests = len(web.requests)
        assert run_profile(tmp_path, profile(f"{web.url}/x", "offline = true")).outcome == "done"
        assert len(web.requests) == requests


def test_a_digest_is_fetched_once(tmp_path: Path) -> None:
    with serving() as web:
        web.files["/x"] = b"one"
        digest = hashlib.md5(b"one", usedforsecurity=False).hexdigest()
        for filename in ("a", "b"):
            text = profile(f"{web.url}/x", f"md5sum = {digest}\nfilename = {filename}")
            assert run_profile(tmp_path, text).outcome == "done"
        assert len(web.requests) == 1
        cached = tmp_path / "work/.download-cache/md5" / digest
        cached.write_bytes(b"damaged")
        assert run_profile(tmp_path, profile(f"{web.url}/x", f"md5sum = {digest}\nfilename = c")).outcome == "done"
        assert (tmp_path / "work/parts/d/c").read_bytes() == b"one"


@pytest.mark.parametrize(("strip", "path"), [("", "x"), ("true", "x"), ("false", "top/x")])
def test_an_archive_is_unpacked(tmp_path: Path, strip: str, path: str) -> None:
    archive = make_tar(tmp_path / "a.tar", ("top/x", "file", "x"))
    more = f"md5sum = {md5(archive)}" + (f"\nstrip-top-level-dir = {strip}" if strip else "")
    text = profile(archive, more, entry="download-unpacked")
    assert run_profile(tmp_path, text).outcome == "done"
    buildout = make_buildout(tmp_path, text)
    assert buildout["d"]["target"] == buildout["d"]["location"] == f"{tmp_path}/work/parts/d"
    assert (tmp_path / "work/parts/d" / path).read_text() == "x"


def test_a_plan_fetches_nothing(tmp_path: Path) -> None:
    text = profile("https://h.example/x.tar", "md5sum = " + "a" * 32, entry="download-unpacked")
    graph = read_graph(
        profile=write_profile(tmp_path, text), directory=str(tmp_path / "never"), read=lambda p: Path(p).read_bytes()
    )
    assert graph.parts[0].sources[0].url == "https://h.example/x.tar"
    assert not graph.parts[0].opaque and not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("more", "option", "line"),
    [
        ("md5sum = 12", "md5sum", 7),
        ("mode = 0755", "mode", 7),
        ("shared = maybe", "shared", 7),
        ("shared = true", "md5sum", 5),
    ],
)
def test_refused_options_name_their_line(tmp_path: Path, more: str, option: str, line: int) -> None:
    with pytest.raises(ProfileError) as caught:
        make_buildout(tmp_path, profile("/x", more))["d"]
    assert (caught.value.context["option"], caught.value.context["line"]) == (option, line)


SHARED = """
[buildout]
parts = d
shared-part-list =
  {first}
  {second}
[d]
recipe = slapos.recipe.build:download-unpacked
url = {url}
md5sum = {md5}
shared = true
filename = ${{:_profile_base_location_}}/x
"""


def test_a_shared_part_is_installed_once_and_belongs_to_nobody(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", ("top/x", "file", "x"))
    shared = tmp_path / "shared"
    shared.mkdir()
    text = SHARED.format(first=tmp_path / "missing", second=f"{shared}/", url=archive, md5=md5(archive))
    assert run_profile(tmp_path, text).outcome == "done"
    location = Path(make_buildout(tmp_path, text)["d"]["location"])
    record = (location / ".buildout-shared.json").read_bytes()
    assert location.parent == shared / "d"
    assert location.name == hashlib.md5(record, usedforsecurity=False).hexdigest()
    options = json.loads(record)
    assert options["url"].startswith("${:_profile_base_location_}/"), "the same part wherever the profile lies"
    assert record.decode() == json.dumps(options, indent=2, sort_keys=True, ensure_ascii=False)
    assert (location / "x").read_text() == "x"
    assert not location.stat().st_mode & 0o222 and not (location / "x").stat().st_mode & 0o222

    made = location.stat().st_ino
    (tmp_path / "other").mkdir()
    Path(archive).rename(tmp_path / "other/a.tar")
    text = text.replace(archive, str(tmp_path / "other/a.tar"))
    assert run_profile(tmp_path / "other", text).outcome == "done"
    assert make_buildout(tmp_path / "other", text)["d"]["location"] == str(location)
    assert location.stat().st_ino == made
    assert run_profile(tmp_path, "[buildout]\nparts =\n").outcome == "done"
    assert location.exists(), "others use it"


def test_an_interrupted_shared_part_is_made_again(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", ("top/x", "file", "x"))
    (tmp_path / "shared").mkdir()
    text = SHARED.format(first=tmp_path / "shared", second="", url=archive, md5=md5(archive))
    run_profile(tmp_path, text)
    location = Path(make_buildout(tmp_path, text)["d"]["location"])
    os.chmod(location, 0o755)
    (location / "x").unlink()
    (location / ".buildout-shared.json").unlink()
    assert run_profile(tmp_path, text).outcome == "done"
    assert (location / "x").read_text() == "x"


def test_without_a_directory_to_share_in_the_part_is_private(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", ("top/x", "file", "x"))
    text = SHARED.format(first=tmp_path / "missing", second="", url=archive, md5=md5(archive))
    assert run_profile(tmp_path, text).outcome == "done"
    assert (tmp_path / "work/parts/d/x").read_text() == "x"
