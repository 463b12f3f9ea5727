"""The bill of materials of the release as a node built it."""

from __future__ import annotations

import json

import pytest

from slapos.build.look import Release
from slapos.catalogue.sbom.document import require_valid, sbom_text
from slapos.catalogue.sbom.gather import gather
from slapos.testing.cloud import Cloud

pytestmark = [pytest.mark.build, pytest.mark.timeout(3600)]


def test_every_part_that_is_compiled_is_known_and_the_document_is_valid(cloud: Cloud) -> None:
    kept = cloud.kept
    assert kept is not None
    stores = (str(kept.directory / "store"),)
    release = gather(Release(url=kept.release, profile=kept.release, directory=kept.built, stores=stores))
    text = sbom_text(release)
    require_valid(text)
    document = json.loads(text)
    assert document["specVersion"] == "1.6"
    compiled = {part["name"]: part for part in document["components"] if part["type"] != "file"}
    assert compiled.keys() == {"logrotate", "nginx", "openssl", "pcre2", "popt", "zlib"}
    for name, part in compiled.items():
        assert part["version"] and part["licenses"] and part["scope"] == "required", name
        assert part["purl"].startswith(f"pkg:generic/{name}@{part['version']}?checksum=sha256:"), name
        places = [place for place in part["externalReferences"] if place["type"] == "source-distribution"]
        assert places and all(place["hashes"] for place in places), name
    edges = {edge["ref"]: set(edge.get("dependsOn", ())) for edge in document["dependencies"]}
    assert edges["part:nginx"] == {"part:openssl", "part:pcre2", "part:zlib"}
    assert edges["part:logrotate"] == {"part:popt"}
    assert "part:nginx" in edges["part:instance.cfg"], "the profile of instances names what they run"
    patches = compiled["nginx"]["pedigree"]["patches"]
    fixed = {issue["id"] for patch in patches for issue in patch.get("resolves", ())}
    assert "CVE-2026-1642" in fixed
