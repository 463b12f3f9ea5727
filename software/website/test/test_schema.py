"""The descriptor and the schemas: what they accept, and the field that they name when they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from slapos.model.errors import InputError
from slapos.schema.fetch import Fetcher
from slapos.schema.release import ReleaseSchema, load

RELEASE = Path(__file__).resolve().parent.parent
REVISION = "0123456789abcdef0123456789abcdef01234567"

GOOD: list[dict[str, Any]] = [
    {},
    {"title": "Hello"},
    {"title": "<script>${buildout:directory} {{ x }} %(x)s 🎉</script>"},
    {"pages": {"index.html": "<h1>Hi</h1>", "docs/a-b_c~1.html": "", ".".join(["a", "b"]): "x\ny"}},
    {"headers": {"X-Powered-By": 'us; } "quoted" \\ $host ${x}', "Cache-Control": "max-age=60"}},
    {"git": {"url": "https://git.example.org/site.git"}},
    {"git": {"url": "http://[::1]:8080/x", "branch": "release/1.0", "interval": 30}},
    {"git": {"url": "https://example.org/a", "revision": REVISION}},
    {"log_retention_days": 3650},
]

BAD: list[tuple[dict[str, Any], str]] = [
    ({"titel": "typing error"}, "titel"),
    ({"title": ""}, "title"),
    ({"title": "two\nlines"}, "title"),
    ({"title": "ends with a line break\n"}, "title"),
    ({"title": "NUL \0"}, "title"),
    ({"title": 7}, "title"),
    ({"title": "x" * 201}, "title"),
    ({"pages": {"../etc/passwd": "x"}}, "pages"),
    ({"pages": {"/etc/passwd": "x"}}, "pages"),
    ({"pages": {"a/../b": "x"}}, "pages"),
    ({"pages": {"a//b": "x"}}, "pages"),
    ({"pages": {"": "x"}}, "pages"),
    ({"pages": {".htaccess": "x"}}, "pages"),
    ({"pages": {"a/.git/config": "x"}}, "pages"),
    ({"pages": {"a\n": "x"}}, "pages"),
    ({"pages": {"a b": "x"}}, "pages"),
    ({"pages": {"a\\b": "x"}}, "pages"),
    ({"pages": {"a.html": 1}}, "a.html"),
    ({"pages": {"a.html": "x" * 1048577}}, "a.html"),
    ({"headers": {"X-A": "one\r\nSet-Cookie: two"}}, "X-A"),
    ({"headers": {"X-A": "ends with a line break\n"}}, "X-A"),
    ({"headers": {"X-A": "emoji 🎉"}}, "X-A"),
    ({"headers": {"X-A": "NUL \0"}}, "X-A"),
    ({"headers": {"X A": "space"}}, "headers"),
    ({"headers": {"X-A\n": "line"}}, "headers"),
    ({"headers": {'X"; }': "quote"}}, "headers"),
    ({"headers": {"X$host": "variable"}}, "headers"),
    ({"headers": {"": "empty"}}, "headers"),
    ({"headers": {"content-LENGTH": "0"}}, "headers"),
    ({"headers": {"Transfer-Encoding": "chunked"}}, "headers"),
    ({"headers": {"Connection": "close"}}, "headers"),
    ({"git": {}}, "git"),
    ({"git": {"url": "file:///etc"}}, "url"),
    ({"git": {"url": "ssh://example.org/x"}}, "url"),
    ({"git": {"url": "https://user:secret@example.org/x"}}, "url"),
    ({"git": {"url": "https://example.org/x\n"}}, "url"),
    ({"git": {"url": "https://example.org/x", "branch": "--upload-pack=x"}}, "branch"),
    ({"git": {"url": "https://example.org/x", "revision": "main"}}, "revision"),
    ({"git": {"url": "https://example.org/x", "interval": 1}}, "interval"),
    ({"log_retention_days": 0}, "log_retention_days"),
    ({"log_retention_days": "30"}, "log_retention_days"),
    ({"log_retention_days": 1.5}, "log_retention_days"),
]


@pytest.fixture(name="release", scope="module")
def fixture_release() -> ReleaseSchema:
    return load(str(RELEASE / "software.cfg"), Fetcher(roots=(str(RELEASE),)))


def parameters(value: Any) -> dict[str, str]:
    return {"_": json.dumps(value)}


@pytest.mark.parametrize("path", sorted(RELEASE.glob("*schema.json")), ids=lambda path: str(path.name))
def test_schemas_are_schemas(path: Path) -> None:
    Draft202012Validator.check_schema(json.loads(path.read_text()))


def test_both_types_travel_as_json(release: ReleaseSchema) -> None:
    assert [kind.id for kind in release.types] == ["default", "mirror"]
    assert {release.serialisation(kind) for kind in ("default", "mirror")} == {"json-in-xml"}


@pytest.mark.parametrize("kind", ["default", "mirror"])
@pytest.mark.parametrize("value", GOOD, ids=repr)
def test_accepted(release: ReleaseSchema, kind: str, value: dict[str, Any]) -> None:
    release.validate(kind, parameters(value))


@pytest.mark.parametrize("kind", ["default", "mirror"])
@pytest.mark.parametrize(("value", "field"), BAD, ids=lambda value: repr(value)[:60])
def test_refused_with_the_field_named(release: ReleaseSchema, kind: str, value: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        release.validate(kind, parameters(value))
    assert caught.value.reference in ("schema-violation", "invalid-text")
    assert field in caught.value.message


def test_defaults_are_filled_in(release: ReleaseSchema) -> None:
    assert release.defaults("default", parameters({})) == {"pages": {}, "headers": {}, "log_retention_days": 30}
    mirror = release.defaults("mirror", parameters({"git": {"url": "https://example.org/x"}}))
    assert mirror["origin_sla"] == {}
    assert mirror["git"]["interval"] == 300


@pytest.mark.parametrize("value", [{"computer_guid": "COMP-1"}, {}])
def test_sla_of_the_origin(release: ReleaseSchema, value: dict[str, str]) -> None:
    release.validate("mirror", parameters({"origin_sla": value}))


@pytest.mark.parametrize("value", [{"computer_guid": 1}, {"a\n": "x"}, {"A:b": "x"}, ["computer_guid"]])
def test_sla_of_the_origin_refused(release: ReleaseSchema, value: Any) -> None:
    with pytest.raises(InputError, match="origin_sla"):
        release.validate("mirror", parameters({"origin_sla": value}))


def test_only_a_mirror_has_an_origin(release: ReleaseSchema) -> None:
    with pytest.raises(InputError, match="origin_sla"):
        release.validate("default", parameters({"origin_sla": {}}))


def test_what_is_published(release: ReleaseSchema) -> None:
    published = {"url": "https://[fd00::1]:8443/", "url-ipv4": "https://127.1.1.1:8443/", "title": "Hello"}
    release.validate("default", parameters(published), direction="response")
    with pytest.raises(InputError, match="url"):
        release.validate("default", parameters({"title": "Hello"}), direction="response")
