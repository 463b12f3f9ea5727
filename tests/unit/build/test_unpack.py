"""Archives from elsewhere: right content, and nothing outside the directory."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from slapos.build.unpack import unpack
from slapos.model.errors import BuildFailed


def make_tar(path: Path, *members: tuple[str, str, str], mode: str = "w:gz") -> str:
    """Members are (name, kind, content or target)."""
    kinds = {"dir": tarfile.DIRTYPE, "sym": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "dev": tarfile.CHRTYPE}
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.mtime = 1_000_000_000
            info.mode = 0o4755 if kind == "exe" else 0o644
            info.type = kinds.get(kind, tarfile.REGTYPE)
            data = b""
            if kind in ("sym", "hard"):
                info.linkname = content
            elif kind in ("file", "exe"):
                data = content.encode()
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return str(path)


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2", "w:"])
def test_good_archive(tmp_path: Path, mode: str) -> None:
    path = make_tar(
        tmp_path / "a.tar",
        ("top/", "dir", ""),
        ("top/run", "exe", "#!/bin/sh\n"),
        ("top/sub/data", "file", "data"),
        ("top/link", "sym", "sub/data"),
        ("top/up/link", "sym", "../run"),
        ("top/same", "hard", "top/sub/data"),
        mode=mode,
    )
    unpack(path, str(tmp_path / "out"))
    out = tmp_path / "out"
    assert sorted(os.listdir(out)) == ["link", "run", "same", "sub", "up"]
    assert (out / "link").read_text() == "data"
    assert (out / "up" / "link").read_text() == "#!/bin/sh\n"
    assert (out / "run").stat().st_mode & 0o7777 == 0o755, "executable, without setuid"
    assert (out / "run").stat().st_mtime == 1_000_000_000


def test_top_level_directory(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "a.tar", ("top/a", "file", "x"))
    unpack(path, str(tmp_path / "kept"), strip=False)
    assert os.listdir(tmp_path / "kept") == ["top"]
    two = make_tar(tmp_path / "b.tar", ("a", "file", "x"), ("b/c", "file", "y"))
    unpack(two, str(tmp_path / "two"))
    assert sorted(os.listdir(tmp_path / "two")) == ["a", "b"]
    with pytest.raises(BuildFailed, match="2 entries"):
        unpack(two, str(tmp_path / "no"), strip=True)
    assert not (tmp_path / "no").exists()


HOSTILE = [
    [("../evil", "file", "x")],
    [("/tmp/evil", "file", "x")],
    [("a/../../evil", "file", "x")],
    [("out", "sym", "/etc")],
    [("a/out", "sym", "../../etc")],
    [("a/l", "sym", ".."), ("a/m", "sym", "l/..")],
    [("l", "sym", ".."), ("l/evil", "file", "x")],
    [("h", "hard", "../secret")],
    [("h", "hard", "/etc/passwd")],
    [("s", "sym", "x"), ("h", "hard", "s")],
    [("d", "dev", "")],
]


@pytest.mark.parametrize("members", HOSTILE, ids=lambda members: "+".join(name for name, _, _ in members))
def test_hostile_archives_leave_nothing(tmp_path: Path, members: list[tuple[str, str, str]]) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "in").mkdir()
    path = make_tar(tmp_path / "evil.tar", *members)
    with pytest.raises(BuildFailed) as caught:
        unpack(path, str(tmp_path / "in" / "out"))
    assert caught.value.reference in ("unsafe-archive", "damaged-archive")
    assert os.listdir(tmp_path / "in") == []
    assert sorted(os.listdir(tmp_path)) == ["evil.tar", "in", "secret"]


def test_zip_and_limits_and_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("top/a", "A" * 1000)
    unpack(str(path), str(tmp_path / "out"))
    assert (tmp_path / "out" / "a").read_text() == "A" * 1000
    with pytest.raises(BuildFailed, match="limit"):
        unpack(str(path), str(tmp_path / "small"), limit=100)
    (tmp_path / "b.tar").write_bytes(b"no archive")
    with pytest.raises(BuildFailed) as caught:
        unpack(str(tmp_path / "b.tar"), str(tmp_path / "damaged"))
    assert caught.value.reference == "damaged-archive"
    assert not (tmp_path / "damaged").exists()
