"""A built release as a CycloneDX 1.6 document: https://cyclonedx.org/docs/1.6/json/.

The same build gives the same bytes: the serial number comes from what the release was built from, the time is that of
the build.
"""

from __future__ import annotations

import datetime
import json
import posixpath
import re
import uuid
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import quote, urlsplit

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import (
    Component,
    ComponentScope,
    ComponentType,
    Diff,
    Patch,
    PatchClassification,
    Pedigree,
)
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.issue import IssueClassification, IssueType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from slapos.catalogue.sbom.built import BuiltPart, BuiltRelease
from slapos.model.errors import InternalError

PREFIX = "hyperopenx"
"""Of the names of properties that CycloneDX has no place for."""

_ROOT = "release"
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_OF_URIS = "%/:?#[]@!$&'()*+,;=-._~"
_VULNERABILITY = re.compile(r"CVE-\d{4}-\d{4,}")


def sbom_text(release: BuiltRelease) -> str:
    """The document, checked with the schema of the standard (see :func:`require_valid`)."""
    text = JsonV1Dot6(document(release)).output_as_string(indent=2)
    require_valid(text)
    return f"{text}\n"


def require_valid(text: str) -> None:
    """:class:`InternalError` ``invalid-sbom`` unless ``text`` is what CycloneDX 1.6 allows, and nothing else."""
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        where = "/".join(str(step) for step in wrong.data.absolute_path)
        raise InternalError(
            f"The bill of materials breaks CycloneDX 1.6 at {where or 'its top'}: {wrong.data.message[:200]}",
            reference="invalid-sbom",
            context={"at": where},
        )


def document(release: BuiltRelease) -> Bom:
    """The document as the library has it."""
    root = Component(
        name=release_name(release.url),
        type=ComponentType.APPLICATION,
        bom_ref=_ROOT,
        external_references=_references([(ExternalReferenceType.DISTRIBUTION, release.url, (), None)]),
    )
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(_identity(release), sort_keys=True)),
        metadata=BomMetaData(
            timestamp=datetime.datetime.fromtimestamp(int(release.built_at), datetime.UTC),
            tools=ToolRepository(components=[_ourselves()]),
            component=root,
            properties=_release_properties(release),
        ),
        components=[component(part) for part in release.parts],
    )
    bom.dependencies.add(_dependency(_ROOT, release.listed))
    bom.dependencies.update(_dependency(_reference(part.name), part.needs) for part in release.parts)
    return bom


def release_name(url: str) -> str:
    """``website`` of ``…/software/website/software.cfg``."""
    directory, file = posixpath.split(urlsplit(url).path)
    return posixpath.basename(directory) or posixpath.splitext(file)[0] or url


def component(part: BuiltPart) -> Component:
    """One part."""
    return Component(
        name=part.name,
        version=part.version or None,
        type=ComponentType(part.kind),
        bom_ref=_reference(part.name),
        description=part.header.what or None,
        scope=ComponentScope.REQUIRED if part.runs else ComponentScope.EXCLUDED,
        hashes=_hashes([part.file_sha256] if part.file_sha256 else []),
        licenses=licences(part.header.licences),
        purl=_package_url(part),
        pedigree=_pedigree(part),
        external_references=_references(_places(part)),
        properties=_part_properties(part),
    )


def licences(texts: tuple[str, ...]) -> list[DisjunctiveLicense | LicenseExpression]:
    """Identifiers and expressions of SPDX as such, other texts as names; an expression stands alone in CycloneDX."""
    found = [LicenseFactory().make_from_string(text) for text in texts]
    if len(found) == 1:
        return list(found)
    return [DisjunctiveLicense(name=item.value) if isinstance(item, LicenseExpression) else item for item in found]


def _places(part: BuiltPart) -> Iterator[tuple[ExternalReferenceType, str, tuple[str, ...], str | None]]:
    """Type, address, accepted sha256 and a remark of each place that a part names."""
    if part.header.source:
        yield ExternalReferenceType.WEBSITE, part.header.source, (), None
    for source in part.sources:
        used = [digest for digest in part.used if digest in source.sha256]
        remark = f"built from the bytes with the sha256 {used[0]}" if used and len(source.sha256) > 1 else None
        yield ExternalReferenceType.SOURCE_DISTRIBUTION, source.url, source.sha256, remark
        for mirror in source.mirrors:
            yield ExternalReferenceType.SOURCE_DISTRIBUTION, mirror, source.sha256, "mirror"


def _references(
    places: Iterable[tuple[ExternalReferenceType, str, tuple[str, ...], str | None]],
) -> list[ExternalReference]:
    return [
        ExternalReference(type=kind, url=_uri(url), hashes=_hashes(digests), comment=remark)
        for kind, url, digests, remark in places
        if urlsplit(url).scheme
    ]


def _uri(url: str) -> XsUri:
    """With what no URI may hold percent-encoded."""
    address, mark, fragment = _BARE_PERCENT.sub("%25", url).partition("#")
    return XsUri(quote(f"{address}{mark}", safe=_OF_URIS) + quote(fragment, safe=_OF_URIS.replace("#", "")))


def _hashes(digests: Iterable[str]) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in digests]


def _package_url(part: BuiltPart) -> PackageURL | None:
    """``pkg:generic/zlib@1.3.1?checksum=…&download_url=…``, by which scanners know a source."""
    remote = [source for source in part.sources if source.url.startswith(("http:", "https:"))]
    if not remote or not part.version:
        return None
    digests = [digest for digest in part.used if digest in remote[0].sha256] or list(remote[0].sha256)
    facts = {"download_url": remote[0].url, "checksum": f"sha256:{digests[0]}"}
    return PackageURL("generic", None, part.name, part.version, facts)


def _pedigree(part: BuiltPart) -> Pedigree | None:
    if not part.patches:
        return None
    order = f"The properties {PREFIX}:patch:<number> say in which order they are applied, and what they hold."
    return Pedigree(patches=[_patch(name) for name, _ in part.patches], notes=order)


def _patch(name: str) -> Patch:
    fixed = sorted(set(_VULNERABILITY.findall(name)))
    return Patch(
        type=PatchClassification.BACKPORT if fixed else PatchClassification.UNOFFICIAL,
        diff=Diff(url=XsUri(quote(name, safe=""))),
        resolves=[IssueType(type=IssueClassification.SECURITY, id=defect) for defect in fixed],
    )


def _part_properties(part: BuiltPart) -> list[Property]:
    facts = [("recipe", part.recipe), ("store-digest", part.digest), ("content-sha256", part.content)]
    patches = [(f"patch:{number}", f"{name} sha256:{sha256}") for number, (name, sha256) in enumerate(part.patches, 1)]
    return _properties([*facts, *patches])


def _release_properties(release: BuiltRelease) -> list[Property]:
    facts = [("release", release.url)]
    facts += [(f"toolchain:{tool}", exact) for tool, exact in release.toolchain.items()]
    facts += [(f"profile:{location}", f"sha256:{sha256}") for location, sha256 in release.profiles.items()]
    return _properties(facts)


def _properties(facts: Iterable[tuple[str, str]]) -> list[Property]:
    return [Property(name=f"{PREFIX}:{name}", value=value) for name, value in facts if value]


def _identity(release: BuiltRelease) -> list[object]:
    return [release.url, release.built_at, sorted(release.profiles.items()), [part.digest for part in release.parts]]


def _dependency(reference: str, parts: Iterable[str]) -> Dependency:
    return Dependency(BomRef(reference), [Dependency(BomRef(_reference(part))) for part in parts])


def _reference(part: str) -> str:
    return f"part:{part}"


def _ourselves() -> Component:
    try:
        own = version("hyperopenx")
    except PackageNotFoundError:  # run from sources
        own = "0"
    return Component(name="hyperopenx", version=own, type=ComponentType.APPLICATION)
