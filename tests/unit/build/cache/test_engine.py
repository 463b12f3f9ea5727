"""A build that asks caches: takes what is right, builds what is not, fetches sources there."""

from __future__ import annotations

import hashlib
import logging
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from slapos.build.cache.places import DirectoryPlace
from slapos.build.cache.publish import push, push_sources
from slapos.build.cache.settings import CacheSettings
from slapos.build.store.store import Store
from slapos.system.removal import remove_tree
from tests.unit.build.cache.stage import KEY
from tests.unit.build.stored import build, whole

PROFILE = """
[buildout]
parts = tool
[library]
recipe = test:make
make = echo library > "$OUT/library"
[tool]
recipe = test:make
make = echo ${library:location} > "$OUT/names"; date +%N > "$OUT/when"
"""
SOURCE = b"the bytes of a source"
SHA256 = hashlib.sha256(SOURCE).hexdigest()
FROM_SOURCE = f"""
[buildout]
parts = tool
[tool]
recipe = test:make
url = http://127.0.0.1:1/source
sha256 = {SHA256}
make = cp "$SOURCE" "$OUT/copy"
"""


@pytest.fixture
def options(tmp_path: Path) -> dict[str, str]:
    """A cache with the parts of the profile, whose store is gone, as options of a run."""
    assert build(tmp_path, PROFILE).outcome == "done"
    store, place = Store((str(tmp_path / "store"),)), DirectoryPlace(str(tmp_path / "cache"))
    for part in store.parts():
        push(part, store, place, KEY)
    remove_tree(str(tmp_path / "work"))
    return CacheSettings((place.url,), (KEY.public.text,)).as_options()


def test_a_release_comes_from_a_cache(tmp_path: Path, options: dict[str, str]) -> None:
    before = whole(tmp_path / "store")
    remove_tree(str(tmp_path / "store"))
    assert build(tmp_path, PROFILE, **options).outcome == "done"
    assert whole(tmp_path / "store") == before  # to the nanosecond
    assert all(part.record.fetched for part in Store((str(tmp_path / "store"),)).parts())


def test_what_is_wrong_in_a_cache_is_built(
    tmp_path: Path, options: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    before = whole(tmp_path / "store")
    remove_tree(str(tmp_path / "store"))
    for path in (tmp_path / "cache/parts/tool").rglob("*.sig"):
        path.write_bytes(b"A" * 88)
    with caplog.at_level(logging.WARNING):
        assert build(tmp_path, PROFILE, **options).outcome == "done"
    after = whole(tmp_path / "store")
    assert after.keys() == before.keys()
    assert {name.split("/")[0]: after[name] == before[name] for name in after} == {"library": True, "tool": False}
    assert "is not believed" in caplog.text


def test_a_cache_that_is_gone_stops_nothing(tmp_path: Path, options: dict[str, str]) -> None:
    remove_tree(str(tmp_path / "store"))
    shutil.rmtree(tmp_path / "cache")
    assert build(tmp_path, PROFILE, **{**options, "binary-cache": "http://127.0.0.1:1"}).outcome == "done"


def test_a_source_comes_from_a_cache(tmp_path: Path) -> None:
    place = DirectoryPlace(str(tmp_path / "cache"))
    (tmp_path / "kept/sha256").mkdir(parents=True)
    (tmp_path / "kept/sha256" / SHA256).write_bytes(SOURCE)
    assert build(tmp_path, FROM_SOURCE).outcome == "failed"
    push_sources([SHA256], str(tmp_path / "kept"), place)
    options = CacheSettings((place.url,)).as_options()
    assert build(tmp_path, FROM_SOURCE, **options).outcome == "done"
    [copy] = (tmp_path / "store").glob("tool/*/copy")
    assert copy.read_bytes() == SOURCE


def test_wrong_bytes_under_the_name_of_a_source(tmp_path: Path) -> None:
    place = DirectoryPlace(str(tmp_path / "cache"))
    (tmp_path / "cache/sources").mkdir(parents=True)
    (tmp_path / "cache/sources" / SHA256).write_bytes(b"other")
    result = build(tmp_path, FROM_SOURCE, **CacheSettings((place.url,)).as_options())
    assert result.outcome == "failed" and not whole(tmp_path / "store")
    left = [path for path in (tmp_path / "work/.download-cache").rglob("*") if path.is_file() and path.stat().st_size]
    assert left == []


THREE = """
[buildout]
parts = tool one two
[library]
recipe = test:make
[tool]
recipe = test:make
make = echo ${library:location} > "$OUT/names"
[one]
recipe = test:make
make = echo ${library:location} > "$OUT/names"; echo one > "$OUT/one"
[two]
recipe = test:make
make = echo two > "$OUT/two"
"""


def test_parts_come_side_by_side(tmp_path: Path) -> None:
    """The server answers no request for an archive before there is a second one; what two parts need comes once."""
    assert build(tmp_path, THREE).outcome == "done"
    store = Store((str(tmp_path / "store"),))
    for part in store.parts():
        push(part, store, DirectoryPlace(str(tmp_path / "cache")), KEY)
    before = whole(tmp_path / "store")
    remove_tree(str(tmp_path / "store"))
    remove_tree(str(tmp_path / "work"))
    both = threading.Barrier(2)

    class Server(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/archives/"):
                both.wait(30)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=str(tmp_path / "cache"))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        result = build(tmp_path, THREE, **CacheSettings((url,), (KEY.public.text,)).as_options())
        server.shutdown()
        thread.join()
    assert result.outcome == "done"
    assert whole(tmp_path / "store") == before
    assert all(part.record.fetched.startswith(url) for part in store.parts())
    assert {part.part for part in result.parts} == {"library", "tool", "one", "two"}
