"""What is told of a part in a CycloneDX document, and that nothing else than CycloneDX leaves us."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slapos.build.recipe import Source
from slapos.catalogue.header import Header
from slapos.catalogue.sbom.built import BuiltPart, BuiltRelease
from slapos.catalogue.sbom.document import release_name, require_valid, sbom_text
from slapos.model.errors import InternalError

A, B = "a" * 64, "b" * 64


def part(name: str = "tool", **facts: Any) -> BuiltPart:
    return BuiltPart(**{"name": name, "recipe": "hyperopenx:cmmi", "kind": "application", **facts})


def release(*parts: BuiltPart, built_at: float = 1_700_000_000.5) -> BuiltRelease:
    listed = tuple(one.name for one in parts[:1])
    return BuiltRelease(
        url="https://x.example/software/web/software.cfg", built_at=built_at, parts=parts, listed=listed
    )


def told(*parts: BuiltPart) -> dict[str, Any]:
    components: list[dict[str, Any]] = json.loads(sbom_text(release(*parts)))["components"]
    return {component["name"]: component for component in components}


def test_one_licence_is_an_identifier_or_an_expression_or_a_name() -> None:
    def licence(text: str) -> Any:
        return told(part(header=Header(licence=text)))["tool"]["licenses"]

    assert licence("Zlib") == [{"license": {"id": "Zlib"}}]
    assert licence("GPL-3.0-or-later with Autoconf-exception-3.0")[0]["expression"].endswith("Autoconf-exception-3.0")
    assert licence("as the author says") == [{"license": {"name": "as the author says"}}]
    both = licence("0BSD (the library), GPL-2.0-or-later with Bison-exception-2.2")
    assert [one["license"] for one in both] == [
        {"id": "0BSD"},
        {"name": "GPL-2.0-or-later WITH Bison-exception-2.2"},
    ]


def test_a_source_has_its_digests_and_says_which_was_used() -> None:
    source = Source("https://x.example/tool-1.tar.gz", (A, B), ("debian:tool",))
    component = told(part(version="1", sources=(source,), used=(B,)))["tool"]
    places = {place["url"]: place for place in component["externalReferences"]}
    assert list(places) == ["debian:tool", "https://x.example/tool-1.tar.gz"]
    assert {digest["content"] for digest in places[source.url]["hashes"]} == {A, B}
    assert places[source.url]["comment"] == f"built from the bytes with the sha256 {B}"
    assert component["purl"] == f"pkg:generic/tool@1?checksum=sha256:{B}&download_url={source.url}"


def test_patches_of_known_defects_are_backports() -> None:
    patches = (("fix-build.patch", A), ("CVE-2026-1_CVE-2026-12345_CVE-2025-99999.patch", B))
    component = told(part(patches=patches))["tool"]
    by_url = {patch["diff"]["url"]: patch for patch in component["pedigree"]["patches"]}
    assert by_url["fix-build.patch"] == {"type": "unofficial", "diff": {"url": "fix-build.patch"}}
    defects = by_url[patches[1][0]]
    assert defects["type"] == "backport"
    assert [issue["id"] for issue in defects["resolves"]] == ["CVE-2025-99999", "CVE-2026-12345"]
    order = {fact["name"]: fact["value"] for fact in component["properties"]}
    assert order["hyperopenx:patch:1"] == f"fix-build.patch sha256:{A}"


def test_edges_and_scopes() -> None:
    document = json.loads(sbom_text(release(part("top", needs=("low",)), part("low", runs=False))))
    edges = {edge["ref"]: edge.get("dependsOn", []) for edge in document["dependencies"]}
    assert edges == {"release": ["part:top"], "part:top": ["part:low"], "part:low": []}
    scopes = {component["name"]: component["scope"] for component in document["components"]}
    assert scopes == {"top": "required", "low": "excluded"}


def test_the_same_build_gives_the_same_bytes() -> None:
    assert sbom_text(release(part())) == sbom_text(release(part()))
    assert sbom_text(release(part())) != sbom_text(release(part(), built_at=1_700_000_001.0))


@pytest.mark.parametrize("text", ["a b", "ünï", "x" * 300, "<script>", "#frag#ment", "%zz"])
def test_hostile_names(text: str) -> None:
    source = Source(f"https://x.example/{text}", (A,))
    header = Header(licence=text, what=text, source=f"https://{text}")
    component = told(part(text, version=text, sources=(source,), patches=((text, A),), header=header))[text]
    assert component["version"] == text


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://x.example/software/web/software.cfg", "web"),
        ("/srv/web/software.cfg", "web"),
        ("https://x.example/web.cfg", "web"),
    ],
)
def test_name_of_a_release(url: str, name: str) -> None:
    assert release_name(url) == name


@pytest.mark.parametrize(
    "change",
    [
        {"bomFormat": "another"},
        {"components": [{"name": "no type"}]},
        {"unknown": 1},
        {"components": [{"type": "library", "name": "x", "hashes": [{"alg": "SHA-256", "content": "short"}]}]},
    ],
)
def test_what_the_schema_forbids_is_refused(change: dict[str, Any]) -> None:
    document = json.loads(sbom_text(release(part()))) | change
    with pytest.raises(InternalError) as raised:
        require_valid(json.dumps(document))
    assert raised.value.reference == "invalid-sbom"
