"""Every byte class of a cache entry altered in turn: refused each time, and nothing is left in the store.

Classes: archive, manifest (each of its fields too), signature, key id (the name of its file), name (of the part and of
the archive).
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slapos.build.cache.addresses import archive_path, manifest_path, signature_path
from slapos.build.cache.manifest import Manifest
from slapos.build.cache.signing import SigningKey, signature_text
from slapos.build.store.inputs import canonical
from slapos.model.errors import InputError, NotFound
from tests.unit.build.cache.stage import FILES, KEY, LINKS, OTHER_KEY, Stage, build, inputs

PART = inputs(options={"version": "1"})
OTHER = inputs("other")
MANIFEST = manifest_path("tool", PART.digest)
SIGNATURE = signature_path("tool", PART.digest, KEY.public.id)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    made = Stage(tmp_path_factory.mktemp("tamper"))
    build(made.builder, PART, FILES, LINKS)
    build(made.builder, OTHER, {"a": "another part"})
    made.publish(PART)
    made.publish(OTHER)
    made.move_away()
    return made


@pytest.fixture
def entry(original: Stage, tmp_path: Path) -> Iterator[Path]:
    copy = tmp_path / "cache"
    shutil.copytree(original.cache_directory, copy)
    yield copy


def refused(original: Stage, cache: Path) -> str:
    """The reason for which the part was refused; nothing of it is in the store."""
    client = original.client(str(cache))
    assert not client.pull("tool", PART.digest, original.node), "a changed entry was believed"
    assert original.is_clean()
    [error] = client.refusals
    assert error.message.endswith(".") and error.hint
    return error.reference


def change(path: Path, how: Callable[[bytes], bytes]) -> None:
    before = path.read_bytes()
    after = how(before)
    assert before != after
    path.write_bytes(after)


def positions(size: int, number: int) -> list[int]:
    """The ends, and places between them; the same in every run."""
    chosen = random.Random(4).sample(range(size), min(number, size))
    return sorted({0, size // 2, size - 1, *chosen})


def flip(at: int, bit: int = 0) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def archive_of(cache: Path) -> Path:
    found = json.loads((cache / MANIFEST).read_bytes())["archive"]["sha256"]
    return cache / archive_path(found)


def test_the_untouched_entry_is_believed(original: Stage, entry: Path) -> None:
    client = original.client(str(entry))
    assert client.pull("tool", PART.digest, original.node)
    original.node.remove("tool", PART.digest)


def test_each_byte_of_the_archive(original: Stage, entry: Path) -> None:
    path = archive_of(entry)
    for at in positions(path.stat().st_size, 60):
        change(path, flip(at, at % 8))
        assert refused(original, entry) == "wrong-archive"
        change(path, flip(at, at % 8))


def test_each_byte_of_the_manifest(original: Stage, entry: Path) -> None:
    path = entry / MANIFEST
    for at in positions(path.stat().st_size, 100):
        change(path, flip(at, at % 8))
        assert refused(original, entry) == "not-trusted"
        change(path, flip(at, at % 8))


def test_each_byte_of_the_signature(original: Stage, entry: Path) -> None:
    path = entry / SIGNATURE
    for at in range(path.stat().st_size):
        change(path, flip(at, at % 8))
        assert refused(original, entry) == "not-trusted"
        change(path, flip(at, at % 8))


@pytest.mark.parametrize("how", ["shorter", "longer", "empty"])
@pytest.mark.parametrize("what", ["archive", "manifest", "signature"])
def test_cut_and_longer(original: Stage, entry: Path, what: str, how: str) -> None:
    path = {"archive": archive_of(entry), "manifest": entry / MANIFEST, "signature": entry / SIGNATURE}[what]
    change(
        path, {"shorter": lambda data: data[:-1], "longer": lambda data: data + b"\n", "empty": lambda data: b""}[how]
    )
    assert refused(original, entry) in ("not-trusted", "wrong-archive", "too-large")


@pytest.mark.parametrize("what", ["archive", "signature"])
def test_absent(original: Stage, entry: Path, what: str) -> None:
    {"archive": archive_of(entry), "signature": entry / SIGNATURE}[what].unlink()
    assert refused(original, entry) == {"archive": "wrong-archive", "signature": "not-trusted"}[what]


def leaves(value: object, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of each value of a manifest."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*at, name))
    else:
        yield at


def test_each_field_of_the_manifest(original: Stage, entry: Path) -> None:
    path = entry / MANIFEST
    before = path.read_bytes()
    fields = list(leaves(json.loads(before)))
    assert {("content",), ("archive", "sha256"), ("inputs", "options", "version"), ("location",)} <= set(fields)
    for field in fields:
        data = json.loads(before)
        place = data
        for name in field[:-1]:
            place = place[name]
        place[field[-1]] = _other(place[field[-1]])
        path.write_bytes(canonical(data))
        assert refused(original, entry) == "not-trusted", field


def _other(value: object) -> object:
    if isinstance(value, str):
        return value + "0"
    return value + 1 if isinstance(value, int | float) else ["0"] if isinstance(value, list) else {"0": "0"}


def test_the_key_id(original: Stage, entry: Path) -> None:
    """The file of the signature gets another name: of nobody, of another trusted key, not in lower case."""
    path = entry / SIGNATURE
    for other in ("0" * 32, OTHER_KEY.public.id, KEY.public.id.upper(), KEY.public.id[:-1]):
        renamed = path.with_name(f"{other}.sig")
        os.rename(path, renamed)
        client = original.client(str(entry), keys=(KEY, OTHER_KEY))
        assert not client.pull("tool", PART.digest, original.node)
        assert [error.reference for error in client.refusals] == ["not-trusted"]
        assert original.is_clean()
        os.rename(renamed, path)


def test_one_signature_counts_once(original: Stage, entry: Path) -> None:
    """Two signatures are asked for; one key under two names is one."""
    shutil.copy(entry / SIGNATURE, (entry / SIGNATURE).with_name(f"{OTHER_KEY.public.id}.sig"))
    client = original.client(str(entry), keys=(KEY, KEY, OTHER_KEY), signatures=2)
    assert not client.pull("tool", PART.digest, original.node)
    assert "1 good signature of 2" in client.refusals[0].message
    assert original.is_clean()


def test_the_name_of_the_part(original: Stage, entry: Path) -> None:
    """A whole, truly signed entry of another part, of the same part with another digest, under our name."""
    shutil.rmtree(entry / f"parts/tool/{PART.digest}")
    shutil.copytree(entry / f"parts/other/{OTHER.digest}", entry / f"parts/tool/{PART.digest}")
    assert refused(original, entry) == "other-part"


def test_the_name_of_the_archive(original: Stage, entry: Path) -> None:
    other = json.loads((entry / manifest_path("other", OTHER.digest)).read_bytes())["archive"]["sha256"]
    shutil.copy(entry / archive_path(other), archive_of(entry))
    assert refused(original, entry) == "wrong-archive"


def test_names_that_are_none(original: Stage) -> None:
    for name in ("../tool", "", ".", "a/b", "a\0b", "-x"):
        with pytest.raises((InputError, NotFound)):
            original.node.location(name, PART.digest)
            original.client().pull(name, PART.digest, original.node)
    assert original.is_clean()


def _signed(original: Stage, entry: Path, manifest: bytes, key: SigningKey = KEY) -> str:
    """What is said of a manifest that a believed key did sign: it erred, or was stolen."""
    (entry / MANIFEST).write_bytes(manifest)
    path = entry / signature_path("tool", PART.digest, key.public.id)
    path.write_bytes(signature_text(key.sign(manifest)))
    client = original.client(str(entry))
    assert not client.pull("tool", PART.digest, original.node)
    assert original.is_clean()
    return client.refusals[0].reference


def _with(manifest: bytes, **changes: object) -> bytes:
    return canonical({**json.loads(manifest), **changes})


def test_signed_but_untrue(original: Stage, entry: Path) -> None:
    """Also a believed key does not get past what can be checked."""
    first = (entry / MANIFEST).read_bytes()
    data = json.loads(first)
    inputs_of_another = {**data["inputs"], "options": {"version": "2"}}
    for expected, manifest in {
        "other-part": _with(first, inputs=inputs_of_another),
        "wrong-archive": _with(first, content="0" * 64),
        "unsafe-archive": _with(first, entries=3),
        "invalid-manifest": first.replace(b"{", b"{ ", 1),
    }.items():
        assert _signed(original, entry, manifest) == expected
    for wrong in (b"", b"null", b"[]", b'{"format":1}', b"[" * 100_000, _with(first, size=-1), _with(first, size="1")):
        assert _signed(original, entry, wrong) == "invalid-manifest"
    for path in ("../../../etc/passwd", "x" * 64, "0" * 63):
        reference = _signed(original, entry, _with(first, archive={**data["archive"], "sha256": path}))
        assert reference in ("invalid-digest", "wrong-archive")


def test_an_old_signature(original: Stage, entry: Path, tmp_path: Path) -> None:
    """The manifest was replaced by a later one; the signature is of the former."""
    later = Stage(tmp_path / "later")
    build(later.builder, PART, {**FILES, "share/greeting": "later"}, LINKS)
    later.publish(PART, OTHER_KEY)
    shutil.copy(later.cache_directory / MANIFEST, entry / MANIFEST)
    shutil.copytree(later.cache_directory / "archives", entry / "archives", dirs_exist_ok=True)
    assert refused(original, entry) == "not-trusted"


def test_a_revoked_key(original: Stage, entry: Path) -> None:
    for word in (KEY.public.id, KEY.public.text):
        client = original.client(str(entry), revoked=(word,))
        assert not client.pull("tool", PART.digest, original.node)
        assert "it is revoked" in client.refusals[0].message
        assert original.is_clean()


def test_no_key_is_trusted(original: Stage, entry: Path) -> None:
    client = original.client(str(entry), keys=())
    assert not client.pull("tool", PART.digest, original.node)
    assert "no key is trusted" in client.refusals[0].message
    assert original.is_clean()


def test_a_manifest_says_one_thing_in_one_way(original: Stage, entry: Path) -> None:
    """Its bytes are those of its meaning, whoever reads them."""
    data = json.loads((entry / MANIFEST).read_bytes())
    assert canonical(data) == (entry / MANIFEST).read_bytes()
    assert set(data) >= {"part", "digest", "inputs", "content", "archive"}
    assert Manifest.__dataclass_params__.frozen  # type: ignore[attr-defined]
