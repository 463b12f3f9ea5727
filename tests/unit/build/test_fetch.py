"""Downloads: order of places, digests, interruption, limits.  A real HTTP server on the loopback address."""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.build.fetch import sources
from slapos.build.fetch.profiles import ProfileReader
from slapos.build.fetch.sources import Fetcher
from slapos.build.fetch.transfer import Limits
from slapos.build.profile.load import joined, load
from slapos.build.recipe import Source
from slapos.model.errors import BuildFailed, InputError, NotFound, Unavailable
from tests.unit.build.web import Web, serving

DATA = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as server:
        server.files["/good.tar"] = DATA
        server.files["/bad.tar"] = b"other bytes"
        yield server


@pytest.fixture
def fetcher(tmp_path: Path) -> Fetcher:
    return Fetcher(cache=str(tmp_path / "cache"), apt_directory=str(tmp_path / "no-apt"))


def kept(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock")


def test_fetched_once_then_cached(web: Web, fetcher: Fetcher, tmp_path: Path) -> None:
    source = Source(f"{web.url}/good.tar", ("0" * 64, DIGEST))
    path = fetcher.fetch(source)
    assert Path(path).read_bytes() == DATA
    assert fetcher.fetch(source) == path
    assert len(web.requests) == 1
    assert kept(tmp_path) == [DIGEST]


def test_a_damaged_file_in_the_cache_is_fetched_again(web: Web, fetcher: Fetcher) -> None:
    source = Source(f"{web.url}/good.tar", (DIGEST,))
    Path(fetcher.fetch(source)).write_bytes(b"rotten")
    assert Path(fetcher.fetch(source)).read_bytes() == DATA


def test_mirrors_in_order(web: Web, fetcher: Fetcher, tmp_path: Path) -> None:
    (tmp_path / "local.tar").write_bytes(DATA)
    mirrors = (f"{web.url}/bad.tar", f"file://{tmp_path}/local.tar", f"{web.url}/never.tar")
    fetcher.fetch(Source(f"{web.url}/gone.tar", (DIGEST,), mirrors))
    assert [path for path, _ in web.requests] == ["/gone.tar", "/bad.tar"]


def test_wrong_bytes_are_named_and_not_kept(web: Web, fetcher: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(BuildFailed) as caught:
        fetcher.fetch(Source(f"{web.url}/bad.tar", (DIGEST,)))
    error = caught.value
    assert error.reference == "wrong-checksum"
    assert error.context["expected"] == [DIGEST]
    assert error.context["got"] == hashlib.sha256(b"other bytes").hexdigest()
    assert error.context["url"] == f"{web.url}/bad.tar"
    assert DIGEST in error.message
    assert kept(tmp_path) == []


def test_all_places_are_named_when_none_serves(web: Web, fetcher: Fetcher) -> None:
    with pytest.raises(Unavailable) as caught:
        fetcher.fetch(Source(f"{web.url}/gone", (DIGEST,), ("http://127.0.0.1:1/x", "debian:nothing", "gopher://x/")))
    assert caught.value.reference == "source-unreachable"
    why = dict(caught.value.context["attempts"])
    assert "does not exist" in why[f"{web.url}/gone"]
    assert "refused" in why["http://127.0.0.1:1/x"].lower()
    assert "no Debian source archive" in why["debian:nothing"]
    assert "scheme" in why["gopher://x/"]


def test_an_interrupted_download_is_continued(web: Web, fetcher: Fetcher, tmp_path: Path) -> None:
    source = Source(f"{web.url}/good.tar", (DIGEST,))
    web.cut.add("/good.tar")
    with pytest.raises(Unavailable):
        fetcher.fetch(source)
    web.cut.clear()
    assert Path(fetcher.fetch(source)).read_bytes() == DATA
    assert web.requests[-1] == ("/good.tar", f"bytes={len(DATA) // 2}-")
    assert kept(tmp_path) == [DIGEST]


def test_a_file_that_changed_between_two_tries_is_begun_again(web: Web, fetcher: Fetcher) -> None:
    source = Source(f"{web.url}/good.tar", (DIGEST,))
    web.files["/good.tar"] = bytes(len(DATA))
    web.cut.add("/good.tar")
    with pytest.raises(Unavailable):
        fetcher.fetch(source)
    web.cut.clear()
    web.files["/good.tar"] = DATA
    assert Path(fetcher.fetch(source)).read_bytes() == DATA


def test_limits(web: Web, tmp_path: Path) -> None:
    fetcher = Fetcher(cache=str(tmp_path / "cache"), limits=Limits(size=1000))
    with pytest.raises(Unavailable, match="larger than 1000 bytes"):
        fetcher.fetch(Source(f"{web.url}/good.tar", (DIGEST,)))


def test_a_server_that_gives_a_byte_now_and_then_meets_the_deadline(web: Web, tmp_path: Path) -> None:
    web.dripping.add("/good.tar")
    fetcher = Fetcher(cache=str(tmp_path / "cache"), limits=Limits(seconds=1.0))
    begin = time.monotonic()
    with pytest.raises(Unavailable, match="it took longer than 1 s"):
        fetcher.fetch(Source(f"{web.url}/good.tar", (DIGEST,)))
    assert time.monotonic() - begin < 10


def test_offline_uses_the_cache_only(web: Web, fetcher: Fetcher, tmp_path: Path) -> None:
    source = Source(f"{web.url}/good.tar", (DIGEST,))
    offline = Fetcher(cache=str(tmp_path / "cache"), offline=True)
    with pytest.raises(Unavailable, match="offline"):
        offline.fetch(source)
    assert web.requests == []
    fetcher.fetch(source)
    assert offline.fetch(source)


def test_full_disk_leaves_no_partial_file(
    web: Web, fetcher: Fetcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(url: str, partial: str, limits: Limits) -> str:
        Path(partial).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sources, "transfer", full)
    with pytest.raises(OSError, match="No space"):
        fetcher.fetch(Source(f"{web.url}/good.tar", (DIGEST,)))
    assert kept(tmp_path) == []


def test_profiles_over_http(web: Web) -> None:
    web.files["/r/software.cfg"] = b"[buildout]\nextends = ../stack/base.cfg\n[a]\nx = ${:_profile_base_location_}\n"
    web.files["/stack/base.cfg"] = b"[a]\ny = ${:_profile_base_location_}\n"
    loaded = load(f"{web.url}/r/software.cfg", ProfileReader())
    assert [profile.location for profile in loaded.profiles] == [
        f"{web.url}/r/software.cfg",
        f"{web.url}/stack/base.cfg",
    ]
    assert loaded.profiles[1].sha256 == hashlib.sha256(web.files["/stack/base.cfg"]).hexdigest()
    assert loaded.sections["a"]["y"][-1].origin.file == f"{web.url}/stack/base.cfg"


def test_profiles_that_cannot_be_read(web: Web, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"gone\.cfg does not exist"):
        ProfileReader()(f"{web.url}/gone.cfg")
    with pytest.raises(NotFound):
        ProfileReader()(str(tmp_path))
    with pytest.raises(InputError, match="larger"):
        ProfileReader(limits=Limits(size=10))(f"{web.url}/good.tar")
    with pytest.raises(Unavailable, match="offline"):
        ProfileReader(offline=True)(f"{web.url}/r.cfg")


def test_joined() -> None:
    assert joined("/a/b", "../c.cfg") == "/a/c.cfg"
    assert joined("https://h/a/b", "../c.cfg") == "https://h/a/c.cfg"
    assert joined("https://h/a", "/etc/x.cfg") == "/etc/x.cfg"
    assert joined("/a", "https://h/x.cfg") == "https://h/x.cfg"
