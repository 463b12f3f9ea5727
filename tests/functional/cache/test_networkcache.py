"""The field's networkcache: served by us, read by us.  (``tests/interop`` has the real client.)"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from slapos.build.cache.networkcache import NetworkCache, NetworkCacheSettings, file_key
from slapos.build.fetch.caches import source_caches
from slapos.build.fetch.sources import Fetcher
from slapos.build.recipe import Source
from slapos.model.errors import InputError, Unavailable
from slapos.system.processes import check_run
from tests.functional.cache.servers import TOKEN, cache_server

URL = "http://upstream.invalid/tool-1.0.tar.gz"
DATA = b"the bytes of a source\n" * 1000
SHA256, SHA512 = hashlib.sha256(DATA).hexdigest(), hashlib.sha512(DATA).hexdigest()
UPLOAD = {"Authorization": f"Bearer {TOKEN}"}


@dataclass
class Signer:
    """A key and certificate as the field's ``generate-signature-key`` makes them."""

    directory: Path
    name: str

    def __post_init__(self) -> None:
        words = f"req -x509 -newkey rsa:2048 -nodes -sha256 -days 1 -subj /CN={self.name}"
        check_run(["openssl", *words.split(), "-keyout", str(self.key), "-out", str(self.crt)])

    @property
    def key(self) -> Path:
        return self.directory / f"{self.name}.key"

    @property
    def crt(self) -> Path:
        return self.directory / f"{self.name}.crt"

    def pair(self, **entry: object) -> list[str]:
        text = json.dumps(entry)
        (self.directory / "entry").write_text(text)
        words = ["openssl", "dgst", "-sha1", "-sign", str(self.key), "-out", str(self.directory / "sig")]
        check_run([*words, str(self.directory / "entry")])
        return [text, base64.b64encode((self.directory / "sig").read_bytes()).decode()]


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(tmp_path, "trusted")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with cache_server(tmp_path / "served") as found:
        yield found


def put(url: str, key: str, pair: object) -> requests.Response:
    return requests.put(f"{url}/shadir/{key}", json=pair, headers=UPLOAD, timeout=10)


def reader(url: str, signer: Signer) -> NetworkCache:
    return NetworkCache(NetworkCacheSettings(f"{url}/shadir", f"{url}/shacache", signer.crt.read_text()))


def fetch(url: str, signer: Signer, tmp_path: Path, sha256: str = SHA256) -> bytes:
    options = {
        "networkcache-dir-url": f"{url}/shadir",
        "networkcache-cache-url": f"{url}/shacache",
        "networkcache-certificates": signer.crt.read_text(),
    }
    fetcher = Fetcher(cache=str(tmp_path / "download-cache"), caches=source_caches(options))
    return Path(fetcher.fetch(Source(URL, (sha256,)))).read_bytes()


def test_a_source_comes_from_it(url: str, signer: Signer, tmp_path: Path) -> None:
    answer = requests.post(f"{url}/shacache", data=DATA, headers=UPLOAD, timeout=10)
    assert (answer.status_code, answer.text) == (201, SHA512)
    assert put(url, file_key(URL), signer.pair(sha512=SHA512, url=URL)).status_code == 201
    assert fetch(url, signer, tmp_path) == DATA
    assert requests.get(f"{url}/shacache/{SHA512}", headers={"Range": "bytes=100-"}, timeout=10).content == DATA[100:]


def test_only_believed_entries_count(url: str, signer: Signer, tmp_path: Path) -> None:
    other = Signer(tmp_path, "other")
    requests.post(f"{url}/shacache", data=DATA, headers=UPLOAD, timeout=10)
    right = signer.pair(sha512=SHA512, number=1)
    for pair in (
        other.pair(sha512=SHA512),
        [right[0], ""],
        [right[0].replace('"number": 1', '"number": 2'), right[1]],
        signer.pair(sha512="0" * 128),
        right,
        right,
    ):
        put(url, "key", pair)
    assert [entry.get("number") for entry in reader(url, signer).entries("key")] == [None, 1]
    assert reader(url, signer).entries("absent") == []
    assert len(requests.get(f"{url}/shadir/key", timeout=10).json()) == 5


def test_bytes_of_another_sha256_are_not_taken(url: str, signer: Signer, tmp_path: Path) -> None:
    """The signature is right, by SHA-1; the profile says what is wanted."""
    requests.post(f"{url}/shacache", data=DATA, headers=UPLOAD, timeout=10)
    put(url, file_key(URL), signer.pair(sha512=SHA512))
    with pytest.raises(Unavailable, match="cannot be had"):
        fetch(url, signer, tmp_path, "0" * 64)
    assert not [path for path in (tmp_path / "download-cache").rglob("*") if path.is_file() and path.stat().st_size]


def test_a_blob_that_is_another_one(url: str, signer: Signer, tmp_path: Path) -> None:
    requests.post(f"{url}/shacache", data=DATA, headers=UPLOAD, timeout=10)
    put(url, file_key(URL), signer.pair(sha512=SHA512))
    blob = tmp_path / "served/networkcache/cache" / SHA512
    blob.write_bytes(b"other")
    client = reader(url, signer)
    assert client.bring_source(URL, (SHA256,), str(tmp_path / "partial")) is None
    assert [error.reference for error in client.refusals] == ["wrong-checksum"]
    assert not (tmp_path / "partial").exists()


def test_uploads_that_are_none(url: str, signer: Signer) -> None:
    right = signer.pair(sha512=SHA512)
    for pair in (None, [], [right[0]], ["{}", ""], ["[]", ""], ["x", ""], [1, 2], [json.dumps({"sha512": "0"}), ""]):
        assert put(url, "key", pair).status_code == 400, pair
    for key in ("..", ".hidden", "%2e%2e%2fx", "a" * 300, ""):
        assert put(url, key, right).status_code in (400, 404, 405), key
    assert requests.put(f"{url}/shacache/{'0' * 128}", data=DATA, headers=UPLOAD, timeout=10).status_code == 400
    assert requests.put(f"{url}/shacache/{SHA512}", data=DATA, headers=UPLOAD, timeout=10).status_code == 201
    assert requests.post(f"{url}/shacache", data=DATA, timeout=10).status_code == 401
    assert requests.put(f"{url}/shadir/key", json=right, timeout=10).status_code == 401
    assert requests.get(f"{url}/shadir/key", timeout=10).status_code == 404
    for path in ("shacache/none", "shacache/..%2f..%2ftoken", "shadir/absent", "networkcache/dir/key", "..%2ftoken"):
        assert requests.get(f"{url}/{path}", timeout=10).status_code in (400, 404), path


def test_certificates_that_are_none(signer: Signer) -> None:
    for text in ("", "rubbish", signer.key.read_text()):
        with pytest.raises(InputError) as raised:
            NetworkCache(NetworkCacheSettings("http://127.0.0.1:1", "http://127.0.0.1:1", text))
        assert raised.value.reference == "invalid-certificate"
