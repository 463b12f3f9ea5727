"""Archives that a believed but wicked key could have signed: nothing is unpacked that is not exactly a stored part."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
import zstandard

from slapos.build.cache.archive import Bounds, leads_inside, unpack
from slapos.build.store.content import RECORD
from slapos.model.errors import BuildFailed

BOUNDS = Bounds("The archive", 1000, 10, "/store/tool/1", ("/store/library/2",))


def member(
    name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o444, target: str = "", size: int = 0
) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.mode, made.linkname, made.size = kind, mode, target, size
    return made


def folder(name: str, mode: int = 0o555) -> tarfile.TarInfo:
    return member(name, tarfile.DIRTYPE, mode)


def link(name: str, target: str) -> tarfile.TarInfo:
    return member(name, tarfile.SYMTYPE, 0o777, target)


def archive(path: Path, *members: tarfile.TarInfo) -> str:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for one in members:
            tar.addfile(one, io.BytesIO(b"x" * one.size))
    path.write_bytes(zstandard.compress(raw.getvalue()))
    return str(path)


WICKED = {
    "path upwards": [member("../outside")],
    "path upwards below": [folder("a"), member("a/../../outside")],
    "absolute path": [member("/tmp/outside")],
    "no name": [member("")],
    "through a link": [link("a", "share"), folder("share"), member("a/b")],
    "through a link out": [link("a", "/etc"), member("a/b")],
    "replaces a link": [link("a", "/etc/passwd"), member("a")],
    "twice": [member("a"), member("a")],
    "no directory": [member("a/b")],
    "link out": [link("a", "/etc/passwd")],
    "link up": [link("a", "../../../etc/passwd")],
    "link to the store": [link("a", "/store/other/3/x")],
    "link beside": [link("a", "/store/tool/10/x")],
    "link to the next part": [link("a", "../other")],
    "link out through a link": [folder("s"), folder("s/t"), link("s/t/d", "../../s"), link("s/t/l", "d/../../x")],
    "set-user-ID": [member("a", mode=0o4555)],
    "set-group-ID": [member("a", mode=0o2555)],
    "sticky": [folder("a", 0o1555)],
    "writable": [member("a", mode=0o666)],
    "directory of others": [folder("a", 0o777)],
    "device": [member("a", tarfile.CHRTYPE)],
    "block device": [member("a", tarfile.BLKTYPE)],
    "pipe": [member("a", tarfile.FIFOTYPE)],
    "hard link": [member("a"), member("b", tarfile.LNKTYPE, target="a")],
    "hard link out": [member("b", tarfile.LNKTYPE, target="/etc/passwd")],
    "record": [member(RECORD)],
    "too many": [member(str(number)) for number in range(11)],
    "too much": [member("a", size=600), member("b", size=600)],
}


@pytest.mark.parametrize("name", WICKED)
def test_wicked_members(tmp_path: Path, name: str) -> None:
    made = archive(tmp_path / "archive", *WICKED[name])
    with pytest.raises(BuildFailed) as raised:
        unpack(made, str(tmp_path / "tree"), BOUNDS)
    assert raised.value.reference in ("unsafe-archive", "damaged-archive")
    assert os.listdir(tmp_path) == ["archive"]


def test_a_bomb(tmp_path: Path) -> None:
    """Ten gigabytes in one file of a few kilobytes: refused at its header, not when the disk is full."""
    head = member("a", size=10 * 1024**3).tobuf(tarfile.GNU_FORMAT)
    compressor = zstandard.ZstdCompressor().compressobj()
    path = tmp_path / "archive"
    zeros = b"\0" * 1024**2
    path.write_bytes(
        compressor.compress(head) + b"".join(compressor.compress(zeros) for _ in range(64)) + compressor.flush()
    )
    with pytest.raises(BuildFailed, match="more than the manifest announces"):
        unpack(str(path), str(tmp_path / "tree"), BOUNDS)
    assert not (tmp_path / "tree").exists()


def test_a_window_that_needs_all_memory(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    path = tmp_path / "archive"
    path.write_bytes(compressor.compress(b"\0" * 1024**2) + compressor.flush())
    with pytest.raises(BuildFailed) as raised:
        unpack(str(path), str(tmp_path / "tree"), BOUNDS)
    assert raised.value.reference == "damaged-archive"


@pytest.mark.parametrize("data", [b"", b"rubbish", b"\x28\xb5\x2f\xfd", zstandard.compress(b"no tar" * 200)])
def test_rubbish(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "archive"
    path.write_bytes(data)
    with pytest.raises(BuildFailed) as raised:
        unpack(str(path), str(tmp_path / "tree"), BOUNDS)
    assert raised.value.reference == "damaged-archive"
    assert not (tmp_path / "tree").exists()


def test_cut_short(tmp_path: Path) -> None:
    path = Path(archive(tmp_path / "archive", member("a", size=900)))
    data = path.read_bytes()
    for size in range(0, len(data), 5):
        path.write_bytes(data[:size])
        with pytest.raises(BuildFailed):
            unpack(str(path), str(tmp_path / "tree"), BOUNDS)
        assert not (tmp_path / "tree").exists()


def test_what_is_right_is_unpacked(tmp_path: Path) -> None:
    members = [
        folder("a"),
        member("a/b", size=3),
        link("c", "a/b"),
        link("d", "/store/library/2/x"),
        link("e", "/store/tool/1"),
    ]
    unpack(archive(tmp_path / "archive", *members), str(tmp_path / "tree"), BOUNDS)
    assert (tmp_path / "tree/c").read_text() == "xxx"
    assert os.readlink(tmp_path / "tree/d") == "/store/library/2/x"


def test_where_links_lead() -> None:
    allowed = ("/store/tool/1", "/store/library/2")
    assert leads_inside("bin/a", "../lib/b", "/store/tool/1", allowed)
    assert leads_inside("a", "../../library/2/b", "/store/tool/1", allowed)
    assert not leads_inside("a", "../2/b", "/store/tool/1", allowed)
    assert not leads_inside("a", "/store/tool/1/../../x", "/store/tool/1", allowed)
