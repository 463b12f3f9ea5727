"""Checksums: what is fetched is pinned, and no digest stands where another was meant."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from slapos.build.profile.reader import Step
from slapos.catalogue.lint.catalogue import Catalogue, Profile
from slapos.catalogue.lint.findings import Finding
from slapos.catalogue.lint.recipes import words_of

_DIGEST = re.compile("[0-9a-f]{64}")
_REMOTE = ("http:", "https:", "ftp:")


def checksums(catalogue: Catalogue) -> Iterator[Finding]:
    """Sources and patches that are fetched have a sha256 that is one; no two parts accept the same bytes."""
    places: dict[str, list[tuple[Profile, str, Step]]] = defaultdict(list)
    for profile in catalogue.readable:
        for section in profile.own:
            options = profile.flattened(section)
            yield from _unpinned(catalogue, profile, section)
            yield from _patches(catalogue, profile, options.get("patches"))
            step = options.get("sha256")
            if step is None or step.origin.file != profile.path:
                continue
            digests = step.text.split()
            for digest in digests:
                if not _DIGEST.fullmatch(digest) and "$" not in digest:
                    yield _at(catalogue, step, f"{digest[:80]!r} is no sha256: 64 digits of 0-9 and a-f.")
                places[digest].append((profile, section, step))
    for digest, found in places.items():
        for profile, section, step in found[1:]:
            other = f"[{found[0][1]}] of {catalogue.relative(found[0][0].path)}"
            if other != f"[{section}] of {catalogue.relative(profile.path)}" and not _same_source(
                found[0], profile, section
            ):
                yield _at(catalogue, step, f"{digest[:16]}… is also accepted by {other}: was it copied?")
            elif found[0][2] == step:
                yield _at(catalogue, step, f"{digest[:16]}… is there twice.")


def _same_source(first: tuple[Profile, str, Step], profile: Profile, section: str) -> bool:
    return first[0].value(first[1], "url") == profile.value(section, "url") and first[1] != section


def _unpinned(catalogue: Catalogue, profile: Profile, section: str) -> Iterator[Finding]:
    step = profile.flattened(section).get("url")
    words = words_of(profile.value(section, "recipe"))
    if step is None or step.origin.file != profile.path or not step.text.startswith(_REMOTE):
        return
    if words is not None and "sha256" in words and not profile.value(section, "sha256"):
        yield _at(catalogue, step, f"[{section}] fetches {step.text} without a sha256.")


def _patches(catalogue: Catalogue, profile: Profile, step: Step | None) -> Iterator[Finding]:
    if step is None or step.origin.file != profile.path:
        return
    for line in step.text.split("\n"):
        if line.strip().startswith(_REMOTE) and "#" not in line:
            yield _at(catalogue, step, f"the patch {line.strip()} is fetched without #sha256=….")


def _at(catalogue: Catalogue, step: Step, sentence: str) -> Finding:
    return Finding(catalogue.relative(step.origin.file), step.origin.line, "checksums", sentence)
