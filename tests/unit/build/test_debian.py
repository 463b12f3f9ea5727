"""The Debian archive of the machine as a mirror: real apt, with a small archive of our own in a directory."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from slapos.build.fetch.aptsources import Archive, codenames, debian_archives, read_archives
from slapos.build.fetch.debian import Record, find_records, pool_records
from slapos.build.fetch.sources import Fetcher
from slapos.build.recipe import Source
from slapos.model.errors import BuildFailed, Unavailable

DATA = b"an upstream tarball"
DIGEST = hashlib.sha256(DATA).hexdigest()
STANZA = """Package: hello
Binary: hello
Version: 1.0-1
Directory: pool/main/h/hello
Checksums-Sha256:
 {other} 10 hello_1.0-1.dsc
 {digest} {size} hello_1.0.orig.tar.gz

Package: other
Directory: pool/main/o/other
Checksums-Sha256:
 {other} 11 other.dsc
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of the release "trixie", unsigned, below a directory."""
    root = tmp_path / "archive"
    pool = root / "pool" / "main" / "h" / "hello"
    pool.mkdir(parents=True)
    (pool / "hello_1.0.orig.tar.gz").write_bytes(DATA)
    sources = root / "dists" / "trixie" / "main" / "source"
    sources.mkdir(parents=True)
    index = STANZA.format(other="0" * 64, digest=DIGEST, size=len(DATA)).encode()
    (sources / "Sources").write_bytes(index)
    (root / "dists" / "trixie" / "Release").write_text(
        "Suite: stable\nCodename: trixie\nComponents: main\nArchitectures: amd64\n"
        f"SHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} main/source/Sources\n"
    )
    return root


def apt_directory(tmp_path: Path, archive: Path) -> str:
    path = tmp_path / "etc" / "sources.list.d"
    path.mkdir(parents=True)
    (tmp_path / "etc" / "sources.list").write_text(f"deb [trusted=yes] file:{archive} trixie main\n")
    return str(tmp_path / "etc")


@pytest.mark.skipif(not os.path.exists("/usr/lib/apt/apt-helper"), reason="needs apt")
def test_found_by_digest_and_fetched_through_apt(tmp_path: Path, archive: Path) -> None:
    fetcher = Fetcher(cache=str(tmp_path / "cache"), apt_directory=apt_directory(tmp_path, archive))
    source = Source("http://127.0.0.1:1/hello-1.0.tar.gz", ("f" * 64, DIGEST), ("debian:hello",))
    assert Path(fetcher.fetch(source)).read_bytes() == DATA
    stamp = tmp_path / "cache" / "apt" / "trixie" / "updated"
    before = stamp.stat().st_mtime_ns
    with pytest.raises(Unavailable, match="no file of these digests"):
        fetcher.fetch(Source("http://127.0.0.1:1/x", ("e" * 64,), ("debian:hello",)))
    assert stamp.stat().st_mtime_ns == before, "a fresh index is not asked for again"


@pytest.mark.skipif(not os.path.exists("/usr/lib/apt/apt-helper"), reason="needs apt")
def test_what_the_index_forgot_is_found_in_the_pool_by_its_name(tmp_path: Path, archive: Path) -> None:
    """As after a point release: the index names a newer file only."""
    pool = archive / "pool" / "main" / "h" / "hello"
    older = b"the version before"
    (pool / "hello_0.9.orig.tar.gz").write_bytes(older)
    digest = hashlib.sha256(older).hexdigest()
    fetcher = Fetcher(cache=str(tmp_path / "cache"), apt_directory=apt_directory(tmp_path, archive))
    with pytest.raises(Unavailable, match="no file of these digests"):
        fetcher.fetch(Source("http://127.0.0.1:1/x", (digest,), ("debian:hello",)))
    named = Source("http://127.0.0.1:1/x", ("e" * 64, digest), ("debian:hello/hello_0.9.orig.tar.gz",))
    assert Path(fetcher.fetch(named)).read_bytes() == older
    (pool / "hello_0.9.orig.tar.gz").write_bytes(b"the version behind")
    shutil.rmtree(tmp_path / "cache" / "sha256")
    with pytest.raises((Unavailable, BuildFailed)):
        fetcher.fetch(named)


def test_where_pools_keep_files() -> None:
    archives = [Archive("http://h/debian/", "trixie", ("main",)), Archive("http://h/s", "trixie-security", ("main",))]
    source = Source("http://u/x", ("a",))
    assert pool_records(archives, "hello", "", source) == []
    assert pool_records(archives, "libffi", "f.tar.gz", source) == [
        Record("http://h/debian/pool/main/libf/libffi/f.tar.gz", "a"),
        Record("http://h/s/pool/updates/main/libf/libffi/f.tar.gz", "a"),
    ]


@pytest.mark.skipif(not os.path.exists("/usr/lib/apt/apt-helper"), reason="needs apt")
def test_wrong_bytes_in_the_archive_are_not_taken(tmp_path: Path, archive: Path) -> None:
    (archive / "pool" / "main" / "h" / "hello" / "hello_1.0.orig.tar.gz").write_bytes(b"AN UPSTREAM TARBALL")
    fetcher = Fetcher(cache=str(tmp_path / "cache"), apt_directory=apt_directory(tmp_path, archive))
    with pytest.raises((Unavailable, BuildFailed)):
        fetcher.fetch(Source("http://127.0.0.1:1/x", (DIGEST,), ("debian:hello",)))
    assert not list((tmp_path / "cache" / "sha256").glob("*")) if (tmp_path / "cache" / "sha256").exists() else True


def test_a_machine_without_archive_says_so(tmp_path: Path) -> None:
    fetcher = Fetcher(cache=str(tmp_path / "cache"), apt_directory=str(tmp_path))
    with pytest.raises(Unavailable, match="no Debian source archive"):
        fetcher.fetch(Source("http://127.0.0.1:1/x", (DIGEST,), ("debian:hello",)))


ONE_LINE = """
# deb http://commented bookworm main
deb [ arch=amd64 signed-by=/k.gpg ] http://one/debian bookworm main contrib # tail
deb-src http://one/debian bookworm-updates main
deb http://vendor/x nodistro main
deb http://vendor/pg bookworm-pgdg main
"""
DEB822 = """
# comment
Types: deb
URIs: http://two/debian http://three/debian
Suites: trixie trixie-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
URIs: http://off/debian
Suites: trixie
Components: main
Enabled: no
"""


def test_both_formats_of_sources(tmp_path: Path) -> None:
    lists = tmp_path / "sources.list.d"
    lists.mkdir()
    (tmp_path / "sources.list").write_text(ONE_LINE)
    (lists / "debian.sources").write_text(DEB822)
    found = read_archives(str(tmp_path))
    assert Archive("http://one/debian", "bookworm", ("main", "contrib"), (("Signed-By", "/k.gpg"),)) in found
    assert [archive.uri for archive in found].count("http://off/debian") == 0
    assert codenames(found) == ["bookworm", "trixie"]
    trixie = debian_archives(found, "trixie")
    assert {(archive.uri, archive.suite) for archive in trixie} == {
        ("http://one/debian", "trixie"),
        ("http://one/debian", "trixie-updates"),
        ("http://two/debian", "trixie"),
        ("http://two/debian", "trixie-security"),
        ("http://three/debian", "trixie"),
        ("http://three/debian", "trixie-security"),
    }
    stanza = next(archive for archive in trixie if archive.uri == "http://two/debian").as_stanza()
    assert "Types: deb-src\n" in stanza
    assert "\n .\n abc\n" in stanza


def test_records_in_an_index(tmp_path: Path) -> None:
    index = tmp_path / "Sources"
    index.write_text(STANZA.format(other="0" * 64, digest=DIGEST, size=19))
    found = list(find_records(str(index), "http://h/debian/", ("e" * 64, DIGEST)))
    assert found == [Record("http://h/debian/pool/main/h/hello/hello_1.0.orig.tar.gz", DIGEST)]
    found = list(find_records(str(index), "http://h", ("0" * 64,)))
    assert [os.path.basename(record.uri) for record in found] == ["hello_1.0-1.dsc", "other.dsc"]
    assert list(find_records(str(index), "http://h", ("1" * 64,))) == []


@pytest.mark.skipif(not os.path.exists("/usr/lib/apt/apt-helper"), reason="needs apt")
def test_what_one_suite_cannot_give_another_may(tmp_path: Path, archive: Path) -> None:
    """The same bytes are in two archives; the file of the first is gone."""
    other = tmp_path / "other"
    shutil.copytree(archive, other)
    gone = archive / "pool" / "main" / "h" / "hello" / "hello_1.0.orig.tar.gz"
    gone.unlink()
    directory = Path(apt_directory(tmp_path, archive))
    with open(directory / "sources.list", "a") as stream:
        stream.write(f"deb [trusted=yes] file:{other} trixie main\n")
    fetcher = Fetcher(cache=str(tmp_path / "cache"), apt_directory=str(directory))
    source = Source("http://127.0.0.1:1/x", (DIGEST,), ("debian:hello",))
    assert Path(fetcher.fetch(source)).read_bytes() == DATA
    second = other / "pool" / "main" / "h" / "hello" / "hello_1.0.orig.tar.gz"
    second.unlink()
    shutil.rmtree(tmp_path / "cache" / "sha256")
    with pytest.raises(Unavailable) as caught:
        fetcher.fetch(source)
    assert str(gone) in caught.value.message
    assert str(second) in caught.value.message
