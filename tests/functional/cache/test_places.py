"""One part goes into each kind of cache and comes back out of it; every kind of server is a real one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from slapos.build.cache.addresses import source_path
from slapos.build.cache.gc import Rules, collect, plan_collection, read_contents
from slapos.build.cache.places import Bound, Place, has, open_place, read_bytes
from slapos.build.cache.publish import push, push_sources
from slapos.model.errors import HyperopenxError, InputError, MachineError, NotFound, Unavailable
from tests.functional.cache.servers import (
    ACCOUNT,
    BUCKET,
    SECRET,
    TOKEN,
    cache_server,
    plain_server,
    s3_server,
    swift_missing,
)
from tests.unit.build.cache.stage import FILES, KEY, LINKS, Stage, build, inputs

PART = inputs(options={"version": "1"})
PLACES = ("directory", "http", "s3")


@pytest.fixture(scope="module")
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def urls(servers: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of each kind of place that this machine has; started once."""
    top = tmp_path_factory.mktemp("places")
    patch = servers.enter_context(pytest.MonkeyPatch.context())
    patch.setenv("HYPEROPENX_CACHE_TOKEN", TOKEN)
    found = {"directory": str(top / "directory"), "http": servers.enter_context(cache_server(top / "served"))}
    if not swift_missing():
        patch.setenv("AWS_ACCESS_KEY_ID", ACCOUNT)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        found["s3"] = f"s3://{BUCKET}/some/where?endpoint={servers.enter_context(s3_server())}"
    return found


def url_of(urls: dict[str, str], kind: str) -> str:
    if kind not in urls:
        pytest.skip(swift_missing())
    return urls[kind]


@pytest.mark.parametrize("kind", PLACES)
def test_there_and_back(urls: dict[str, str], kind: str, tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    build(stage.builder, PART, FILES, LINKS)
    place = open_place(url_of(urls, kind))
    for outcome in ("pushed", "kept"):
        assert push(stage.stored(PART), stage.builder, place, KEY, replace=False).outcome == outcome
        push(stage.stored(PART), stage.builder, place, KEY, replace=True)  # over what is there
    stage.move_away()
    client = stage.client(url_of(urls, kind))
    assert client.pull("tool", PART.digest, stage.node), client.refusals
    assert not client.pull("tool", "0" * 32, stage.node)
    assert client.refusals == []


@pytest.mark.parametrize("kind", PLACES)
def test_sources(urls: dict[str, str], kind: str, tmp_path: Path) -> None:
    place = open_place(url_of(urls, kind))
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    (tmp_path / "sha256").mkdir()
    (tmp_path / "sha256" / digest).write_bytes(b"hello")
    (tmp_path / "sha256" / ("0" * 64)).write_bytes(b"other bytes than the name says")
    assert [one.outcome for one in push_sources([digest, "0" * 64, "1" * 64], str(tmp_path), place)] == ["pushed"]
    assert [one.outcome for one in push_sources([digest], str(tmp_path), place)] == ["kept"]
    client = Stage(tmp_path).client(url_of(urls, kind))
    partial = str(tmp_path / "partial")
    assert client.bring_source("http://upstream/", ("1" * 64, digest), partial) == digest
    assert Path(partial).read_bytes() == b"hello"
    assert client.bring_source("http://upstream/", ("1" * 64,), partial) is None
    assert client.refusals == []


@pytest.mark.parametrize("kind", PLACES)
def test_limits(urls: dict[str, str], kind: str, tmp_path: Path) -> None:
    place = open_place(url_of(urls, kind))
    digest = "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"  # of "aaa"
    (tmp_path / "aaa").write_text("aaa")
    place.put(source_path(digest), str(tmp_path / "aaa"))
    assert has(place, source_path(digest))
    assert not has(place, source_path("0" * 64))
    assert read_bytes(place, source_path(digest), Bound(3)) == b"aaa"
    with pytest.raises(InputError) as raised:
        read_bytes(place, source_path(digest), Bound(2))
    assert raised.value.reference == "too-large"
    with pytest.raises(NotFound):
        read_bytes(place, source_path("0" * 64), Bound(2))


@pytest.mark.parametrize("kind", ["directory", "s3"])
def test_collection(urls: dict[str, str], kind: str, tmp_path: Path) -> None:
    """By age: what is young stays.  By size: all goes, the last bytes too."""
    stage = Stage(tmp_path)
    build(stage.builder, PART, FILES, LINKS)
    place = open_place(url_of(urls, kind))
    push(stage.stored(PART), stage.builder, place, KEY, replace=True)
    contents = read_contents(place)
    now = max(item.changed for entry in contents.entries.values() for item in entry.items)
    assert plan_collection(contents, Rules(now, age=3600)) == ()
    removals = plan_collection(contents, Rules(now, size=0))
    assert removals[0].path.endswith("manifest.json")
    assert collect(place, removals) > 0
    assert not read_contents(place).entries
    left = {item.path for item in place.items()}  # archives that were replaced a moment ago are young
    assert not {entry.archive for entry in contents.entries.values()} & left


def test_a_plain_server_is_enough_to_read(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    build(stage.builder, PART, FILES, LINKS)
    stage.publish(PART)
    stage.move_away()
    with plain_server(stage.cache_directory) as url:
        client = stage.client(url)
        assert client.pull("tool", PART.digest, stage.node), client.refusals
        assert client.lookup("absent", "0" * 32) is None
        with pytest.raises(MachineError) as raised:
            open_place(url).put(source_path("0" * 64), os.devnull)
        assert raised.value.reference == "cache-read-only"
        with pytest.raises(InputError) as told:
            list(open_place(url).items())
        assert told.value.reference == "no-list"


def test_s3_refuses_who_has_no_key(urls: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = url_of(urls, "s3")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    place = open_place(url)
    (tmp_path / "x").write_text("x")
    with pytest.raises(MachineError, match="SignatureDoesNotMatch") as raised:
        place.put(source_path("0" * 64), str(tmp_path / "x"))
    assert raised.value.reference == "cache-read-only"
    with pytest.raises(Unavailable):
        read_bytes(place, source_path("0" * 64), Bound(10))
    for more in ("&anonymous=true", "&endpont=http://x"):
        with pytest.raises(HyperopenxError):
            read_bytes(open_place(url + more), source_path("0" * 64), Bound(10))


@pytest.mark.parametrize(
    "url", ["", "relative/path", "ftp://x/y", "s3://b?endpoint=rubbish", "s3://b?region=", "http://"]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(HyperopenxError) as raised:
        read_bytes(open_place(url), source_path("0" * 64), Bound(10))
    assert raised.value.reference in ("invalid-cache-url", "cache-unreachable")


def _upload(place: Place, path: str, file: Path) -> str:
    with pytest.raises(MachineError) as raised:
        place.put(path, str(file))
    assert raised.value.reference == "cache-read-only"
    return str(raised.value.context["why"])


def test_our_server_takes_only_what_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "served"
    (tmp_path / "file").write_text("hello")
    file = tmp_path / "file"
    right = source_path("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
    manifest = f"parts/tool/{'0' * 32}/manifest.json"
    with cache_server(directory) as url:
        monkeypatch.setenv("HYPEROPENX_CACHE_TOKEN", "another-token-that-is-long-enough")
        assert "401" in _upload(open_place(url), right, file)
        monkeypatch.delenv("HYPEROPENX_CACHE_TOKEN")
        assert "401" in _upload(open_place(url), right, file)
        monkeypatch.setenv("HYPEROPENX_CACHE_TOKEN", TOKEN)
        place = open_place(url)
        for path in (
            "../outside",
            "parts/x",
            "index.html",
            "sources/../../outside",
            f"parts/-/{'0' * 32}/manifest.json",
        ):
            assert _upload(place, path, file).startswith(("400", "404", "405"))
        assert "another sha256" in _upload(place, source_path("0" * 64), file)
        assert "that is none" in _upload(place, manifest, file)
        assert "no signature" in _upload(place, manifest.replace("manifest.json", f"{'0' * 32}.sig"), file)
        (tmp_path / "large").write_bytes(b" " * 2000)
        assert "413" in _upload(place, manifest.replace("manifest.json", f"{'0' * 32}.sig"), tmp_path / "large")
        assert not [path for path in directory.rglob("*") if path.is_file()]
        place.put(right, str(file))
        assert read_bytes(place, right, Bound(100)) == b"hello"
        assert [path.name for path in directory.rglob("*") if path.is_file()] == [right.split("/")[1]]
