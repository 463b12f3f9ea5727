"""The recipe ``download``."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from slapos.build.describing import read_graph
from slapos.build.fetch.profiles import ProfileReader
from slapos.model.errors import ProfileError
from tests.unit.build.profiles import make_buildout, outcomes, run_profile, write_profile
from tests.unit.build.test_unpack import make_tar

PROFILE = """
[buildout]
parts = d
[d]
recipe = hyperopenx:download
url = file://{url}
sha256 = {sha256}
{more}
"""


def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_file(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"data")
    text = PROFILE.format(url=tmp_path / "data.bin", sha256=digest(str(tmp_path / "data.bin")), more="mode = 0755")
    buildout = make_buildout(tmp_path, text)
    assert buildout["d"]["location"] == f"{tmp_path}/work/parts/d"
    target = Path(buildout["d"]["target"])
    assert not target.exists(), "nothing happens before install"
    assert run_profile(tmp_path, text).outcome == "done"
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"data", 0o755)
    assert outcomes(run_profile(tmp_path, text)) == {"d": "kept"}


def test_unpacked(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "a.tar", ("top/x", "file", "x"))
    text = PROFILE.format(url=path, sha256=digest(path), more="unpack = true\ndestination = here")
    assert run_profile(tmp_path, text).outcome == "done"
    assert (tmp_path / "work" / "here" / "x").read_text() == "x"


def test_wrong_bytes_leave_the_old_tree_in_place(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "a.tar", ("top/x", "file", "x"))
    run_profile(tmp_path, PROFILE.format(url=path, sha256=digest(path), more="unpack = true"))
    report = run_profile(tmp_path, PROFILE.format(url=path, sha256="0" * 64, more="unpack = true"))
    assert report.first_error is not None
    assert report.first_error.reference == "wrong-checksum"
    assert (tmp_path / "work" / "parts" / "d" / "x").read_text() == "x"
    assert run_profile(tmp_path, PROFILE.format(url=path, sha256=digest(path), more="unpack = true")).outcome == "done"


def test_described_without_running(tmp_path: Path) -> None:
    text = PROFILE.format(url="/nowhere/x-1.tar", sha256="a" * 64, more="mirrors =\n  https://h/x\n  debian:x")
    graph = read_graph(profile=write_profile(tmp_path, text), directory=str(tmp_path / "never"), read=ProfileReader())
    source = graph.parts[0].sources[0]
    assert (source.sha256, source.mirrors) == (("a" * 64,), ("https://h/x", "debian:x"))
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("more", ["filename = ../x", "sha256 = 12", "unpack = maybe"])
def test_refused_options_name_their_line(tmp_path: Path, more: str) -> None:
    with pytest.raises(ProfileError) as caught:
        make_buildout(tmp_path, PROFILE.format(url="/x", sha256="a" * 64, more=more))["d"]
    assert caught.value.context["line"] == 8
    assert caught.value.context["option"] == more.split(maxsplit=1)[0]
