"""Templates of instance profiles: what can be told wrong of them without parameters, so without rendering them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from functools import cache

import jinja2

from slapos.build.profile.names import DISTRIBUTION, own_recipes
from slapos.catalogue.lint.catalogue import Catalogue, Profile
from slapos.catalogue.lint.findings import Finding
from slapos.catalogue.lint.references import Uses, dead

_PROFILE = re.compile(r"\.cfg(\.in|\.jinja2|\.j2)+")
_TEMPLATE = (".in", ".jinja2", ".j2")
_RECIPE = re.compile(r"recipe\s*=\s*(\S+)\s*")
_SECTION = re.compile(r"\[([^\[\]]+)\](?:\s*[#;].*)?")
_OF_THE_PARTITION = re.compile(r"\$\$\{([-a-zA-Z0-9 ._]+):")
_OF_THE_RELEASE = re.compile(r"(?<!\$)\$\{buildout:directory\}/([-A-Za-z0-9._/]+)")
_OWN = re.compile(r"\$\{:([-a-zA-Z0-9 ._]+)\}")
_DYNAMIC = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
_GIVEN = frozenset({"buildout", "slap-connection", "slap_connection"})
"""Sections that every instance has."""
_WRITES = ("output", "location", "destination", "target", "rendered")
_DEPTH = 10  # of options that refer to others


def jinja_syntax(catalogue: Catalogue) -> Iterator[Finding]:
    """Templates that Jinja cannot read."""
    for path, data in catalogue.files.items():
        text = data.decode("utf-8", "replace")
        if path.endswith(_TEMPLATE) and "{%" in text:
            try:
                jinja2.Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"]).parse(text)
            except jinja2.TemplateSyntaxError as error:
                yield Finding(catalogue.relative(path), error.lineno, "jinja-syntax", error.message or "is no Jinja.")


def recipes(catalogue: Catalogue) -> Iterator[Finding]:
    """Recipes that we do not have, in profiles and in templates of profiles."""
    for path, lines in _lines(catalogue, (*_profiles_of(catalogue), *(profile.path for profile in catalogue.profiles))):
        for number, line in lines:
            found = _RECIPE.fullmatch(line)
            name = found[1] if found else ""
            if name.startswith(f"{DISTRIBUTION}:") and not re.search(r"[{$]", name) and name not in own_recipes():
                yield Finding(catalogue.relative(path), number, "recipes", f"there is no recipe {name}.")


def template_references(catalogue: Catalogue) -> Iterator[Finding]:
    """What a template names and nothing gives: options of the release, its files, sections of the instance."""
    uses = Uses(catalogue)
    for profile in catalogue.readable:
        files = set(_written(profile))
        for section, path in _rendered(catalogue, profile):
            for number, line in enumerate(_text(catalogue, path).splitlines(), 1):
                for sentence in dead(profile, section, line, uses):
                    yield Finding(catalogue.relative(path), number, "template-references", sentence)
                for name in _OF_THE_RELEASE.findall(line):
                    if not any(file == name or file.startswith(f"{name.rstrip('/')}/") for file in files):
                        sentence = f"no part of {catalogue.relative(profile.path)} makes {name}."
                        yield Finding(catalogue.relative(path), number, "template-references", sentence)
    yield from _dead_sections(catalogue)


def _dead_sections(catalogue: Catalogue) -> Iterator[Finding]:
    """Sections of the instance that neither the item nor a stack has, in any template."""
    for path, lines in _lines(catalogue, _profiles_of(catalogue)):
        near = [other for other in _profiles_of(catalogue) if _is_near(catalogue, other, path)]
        known = _sections(tuple(_text(catalogue, other) for other in near))
        for number, line in lines:
            for name in _OF_THE_PARTITION.findall(line):
                if name not in _GIVEN and known.fullmatch(name) is None:
                    sentence = f"$${{{name}:…}} names a section that no template of this item or of a stack has."
                    yield Finding(catalogue.relative(path), number, "template-references", sentence)


def _is_near(catalogue: Catalogue, other: str, path: str) -> bool:
    item = catalogue.relative(path).split(os.sep)[:2]
    there = catalogue.relative(other).split(os.sep)[:2]
    return there == item or there[0] == "stack" or item[0] == "stack"


@cache
def _sections(texts: tuple[str, ...]) -> re.Pattern[str]:
    """The names of all sections; what Jinja decides of a name stands for anything."""
    names = (found[1] for text in texts for line in text.splitlines() if (found := _SECTION.fullmatch(line.strip())))
    return re.compile("|".join(sorted({".*".join(map(re.escape, _DYNAMIC.split(name))) for name in names})) or "(?!)")


def _profiles_of(catalogue: Catalogue) -> list[str]:
    """Templates of profiles."""
    return [path for path in catalogue.files if _PROFILE.search(os.path.basename(path))]


def _lines(catalogue: Catalogue, paths: Iterable[str]) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """The lines of files without those that are comments."""
    for path in dict.fromkeys(paths):
        lines = enumerate(_text(catalogue, path).splitlines(), 1)
        yield path, [(number, line) for number, line in lines if not line.lstrip().startswith(("#", ";"))]


def _text(catalogue: Catalogue, path: str) -> str:
    return catalogue.files.get(path, b"").decode("utf-8", "replace")


def _rendered(catalogue: Catalogue, profile: Profile) -> Iterator[tuple[str, str]]:
    """Section and file of each template that ``hyperopenx:template`` renders when the release is built."""
    for section in profile.loaded.sections:
        if profile.value(section, "recipe").strip() != f"{DISTRIBUTION}:template":
            continue
        base = os.path.dirname(profile.loaded.first[section].file)
        url = _evaluated(profile, section, "url").replace("${:_profile_base_location_}", base)
        file = os.path.normpath(os.path.join(base, url))
        if url and file in catalogue.files:
            yield section, file


def _written(profile: Profile) -> Iterator[str]:
    """What parts make below the directory of the release."""
    for section in profile.loaded.sections:
        for option in _WRITES:
            if found := _OF_THE_RELEASE.fullmatch(_evaluated(profile, section, option)):
                yield os.path.normpath(found[1])


def _evaluated(profile: Profile, section: str, option: str) -> str:
    """An option with those of the same section put in."""
    text = profile.value(section, option).strip()
    for _ in range(_DEPTH):
        text = _OWN.sub(lambda found: _own(profile, section, found), text)
    return text


def _own(profile: Profile, section: str, found: re.Match[str]) -> str:
    if found[1] == "_buildout_section_name_":
        return section
    return profile.value(section, found[1]) or found[0]
