"""Which parts of a profile lie in the store, and what each of them is made from.

A part is stored when its recipe can be (``stored``), it gives no place itself, and all that it uses is stored too: then
nothing in it depends on the directory of one release.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from slapos.build.profile.load import base_of
from slapos.build.recipe import Ingredients, Recipe, Source, identity, view_of
from slapos.build.store.inputs import Inputs
from slapos.build.store.site import Stored
from slapos.build.toolchain import host_toolchain
from slapos.build.values import as_text
from slapos.model.text import is_file_name

if TYPE_CHECKING:
    from slapos.build.profile.buildout import Buildout
    from slapos.build.profile.section import Options

TOOLCHAIN = "toolchain"
"""``[buildout] toolchain``: parts that other parts are compiled with, instead of the compiler of the machine."""

_NOT_COUNTED = frozenset({"url", "mirrors", "sha256", "patches", "recipe"})
_PLACES = ("location", "destination", "prefix")


class Private(Exception):
    """Why a part is not stored, as the end of a sentence that begins with the part."""


def stored_part(section: Options) -> Stored:
    """What the section is as a stored part; raises :class:`Private`."""
    buildout, kind = section.buildout, section.recipe_class
    store = buildout.store
    if store is None:
        raise Private("there is no store")
    if kind is None or not issubclass(kind, Recipe) or not kind.stored:
        raise Private(f"{as_text(section['recipe'])} makes parts of one release")
    _check_place(section)
    view = view_of(buildout, section.name, section)
    ingredients = kind.ingredients(section.name, view, buildout)
    if ingredients.private:
        raise Private(ingredients.private)
    dependencies = _dependencies(section)
    texts = dict(_texts(section, ingredients))
    _check_texts(section, texts)
    inputs = Inputs(
        part=section.name,
        recipe=as_text(section["recipe"]).strip(),
        identity=identity(kind),  # type: ignore[arg-type]
        options=texts,
        sources=tuple(source.sha256 for source in _sources(section, kind)),
        patches=ingredients.patches,
        dependencies=dependencies,
        toolchain=_host_toolchain(buildout, kind) if kind.compiles and not compilers(section) else {},
    )
    return Stored(store, inputs, store.location(inputs.part, inputs.digest), compilers(section))


def _host_toolchain(buildout: Buildout, kind: type[Recipe]) -> Mapping[str, str]:
    """The machine is looked at once in a run, for what all parts of one kind need."""
    if kind.host_packages not in buildout.toolchains:
        buildout.toolchains[kind.host_packages] = host_toolchain(kind.host_packages)
    return buildout.toolchains[kind.host_packages]


def compilers(section: Options) -> tuple[str, ...]:
    """The parts that this one is compiled with."""
    kind = section.recipe_class
    compiles = kind is not None and issubclass(kind, Recipe) and kind.compiles
    return section.buildout.compiles_with(section.name) if compiles else ()


def _check_place(section: Options) -> None:
    if not is_file_name(section.name):
        raise Private("its name cannot be that of a directory in the store")
    given = next((option for option in _PLACES if section.get(option)), None)
    if given is not None:
        raise Private(f"its option `{given}` chooses another place")


def _sources(section: Options, kind: type[Recipe]) -> tuple[Source, ...]:
    return kind.describe(section.name, view_of(section.buildout, section.name, section)).sources


def _dependencies(section: Options) -> dict[str, str]:
    """Part → digest of those that it uses, through sections that are no parts."""
    found: dict[str, str] = {}
    for other in _used_parts(section):
        stored = section.buildout[other].stored
        if stored is None:
            raise Private(f"it uses {other}, which is not in the store: {section.buildout[other].private}")
        found[other] = stored.inputs.digest
    return found


def _used_parts(section: Options) -> Iterator[str]:
    """Parts that are used directly or through sections without a recipe, with those that all are compiled with."""
    buildout, name = section.buildout, section.name
    seen = {name}
    todo = sorted({*buildout.uses.get(name, ()), *compilers(section)})
    while todo:
        other = todo.pop(0)
        if other in seen or other == "buildout":
            continue
        seen.add(other)
        if buildout[other].get("recipe"):
            yield other
        else:
            todo.extend(sorted(buildout.uses.get(other, ())))


def _texts(section: Options, ingredients: Ingredients) -> Iterator[tuple[str, str]]:
    """The options that count, with ``@STORE@`` for the paths of the store."""
    assert section.buildout.store is not None
    roots = sorted(section.buildout.store.roots, key=len, reverse=True)
    named = {**section.copy(), **ingredients.texts}
    for option, value in named.items():
        if option in _NOT_COUNTED or option.startswith(("_", "<")):
            continue
        text = as_text(value)
        for root in roots:
            text = text.replace(f"{root}/", "@STORE@/")
        yield option, text


def _check_texts(section: Options, texts: dict[str, str]) -> None:
    """A place that differs from release to release, or a file whose content nobody counted."""
    buildout = section.buildout
    directory = buildout._buildout_dir
    bases = {base_of(profile.location) for profile in buildout.loaded.profiles} - {"", "/"}
    for option, text in texts.items():
        if directory in text:
            raise Private(f"its option `{option}` names the directory of the release")
        if any(f"{base}/" in text for base in bases):
            raise Private(f"its option `{option}` names a file beside the profile")
