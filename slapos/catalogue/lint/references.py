"""Dead references and unused options, found in the text of the profiles: nothing is evaluated."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

from slapos.build.profile.expression import BadReference, Reference, compiled
from slapos.build.profile.reader import Step
from slapos.build.store.inputs import RELOCATABLE
from slapos.build.values import MARKER
from slapos.catalogue.lint.catalogue import Catalogue, Profile
from slapos.catalogue.lint.findings import Finding
from slapos.catalogue.lint.recipes import words_of

_GIVEN = frozenset({"_profile_base_location_", "_buildout_section_name_", "recipe"})
_OF_THE_ENGINE = frozenset({"recipe", "version", RELOCATABLE})
"""Options that the engine reads, and the bill of materials, whatever the recipe."""
_BESIDE = re.compile(r"\$\{:_profile_base_location_\}/([^\s#$]+)(?=[\s#]|$)")
_NAMED = re.compile(rb"\$\{([-a-zA-Z0-9 ._]*):([-a-zA-Z0-9 ._]+)\}")
_EXPANDED = re.compile(r"%\(([^)]+)\)s")


def profiles(catalogue: Catalogue) -> Iterator[Finding]:
    """Profiles that cannot be read at all."""
    for profile in catalogue.profiles:
        if profile.problem is not None:
            context = profile.problem.context
            where = catalogue.relative(str(context.get("file", profile.path)))
            yield Finding(where, int(context.get("line", 0)), "profiles", profile.problem.message)


def dead_references(catalogue: Catalogue) -> Iterator[Finding]:
    """``${section:option}`` and files beside a profile that do not exist."""
    uses = Uses(catalogue)
    for profile in catalogue.readable:
        for section, step in _own_steps(profile):
            for sentence in dead(profile, section, step.text, uses):
                yield Finding(catalogue.relative(profile.path), step.origin.line, "dead-references", sentence)
            for name in _BESIDE.findall(step.text):
                if not os.path.exists(os.path.join(os.path.dirname(profile.path), name)):
                    sentence = f"[{section}] names {name}, which is not there."
                    yield Finding(catalogue.relative(profile.path), step.origin.line, "dead-references", sentence)


def _own_steps(profile: Profile) -> Iterator[tuple[str, Step]]:
    for section, options in profile.own.items():
        for steps in options.values():
            yield from ((section, step) for step in steps if not step.text.startswith(MARKER))


def dead(profile: Profile, section: str, text: str, uses: Uses) -> Iterator[str]:
    """A sentence for each reference of a text, as it stands in ``section``, that names nothing."""
    try:
        pieces = compiled(text)
    except BadReference as error:
        yield str(error)
        return
    for piece in pieces:
        if isinstance(piece, Reference):
            target = piece.section or section
            if target == "buildout":
                continue
            if target not in profile.loaded.sections:
                yield f"{piece} names a section that does not exist."
            elif not _gives(profile, target, piece.option) and not (
                not piece.section and uses.is_given_below(section, piece.option)
            ):
                yield f"{piece} names an option that [{target}] does not have."


def _gives(profile: Profile, section: str, option: str) -> bool:
    if option in profile.flattened(section) or option in _GIVEN:
        return True
    recipe = profile.value(section, "recipe")
    words = words_of(recipe) if recipe else frozenset()
    return words is None or option in words


def unused_options(catalogue: Catalogue) -> Iterator[Finding]:
    """Options that neither the recipe reads nor anybody names, and sections that nobody uses."""
    uses = Uses(catalogue)
    for profile in catalogue.readable:
        for section, options in profile.own.items():
            if section == "buildout" or uses.is_whole(section):
                continue
            for option, steps in options.items():
                if (
                    not option.startswith(("_", "<"))
                    and option not in _OF_THE_ENGINE
                    and not uses.is_used(section, option)
                ):
                    sentence = f"the option {option!r} of [{section}] is read by nobody."
                    line = steps[-1].origin.line
                    yield Finding(catalogue.relative(profile.path), line, "unused-options", sentence)


class Uses:
    """Who uses what in a catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    @cached_property
    def named(self) -> set[tuple[str, str]]:
        """(section, option) of each reference in any file; an empty section is the one that holds it."""
        found = (match for data in self.catalogue.files.values() for match in _NAMED.findall(data))
        return {(section.decode(), option.decode()) for section, option in found}

    @cached_property
    def expanded(self) -> frozenset[str]:
        """Options named as ``%(option)s``."""
        texts = (step.text for profile in self.catalogue.readable for _, step in _own_steps(profile))
        return frozenset(name for text in texts for name in _EXPANDED.findall(text))

    @cached_property
    def kin(self) -> dict[str, set[str]]:
        """Section → itself and those that inherit from it."""
        found: dict[str, set[str]] = defaultdict(set)
        for profile in self.catalogue.readable:
            for section in profile.loaded.sections:
                for above in _ancestors(profile, section):
                    found[above].add(section)
        return found

    @cached_property
    def recipes(self) -> dict[str, set[str]]:
        """Section → the recipes that it has in some profile."""
        found: dict[str, set[str]] = defaultdict(set)
        for profile in self.catalogue.readable:
            for section in profile.loaded.sections:
                if recipe := profile.value(section, "recipe"):
                    found[section].add(recipe)
        return found

    @cached_property
    def options(self) -> dict[str, set[str]]:
        """Section → the options that it has in some profile."""
        found: dict[str, set[str]] = defaultdict(set)
        for profile in self.catalogue.readable:
            for section in profile.loaded.sections:
                found[section] |= profile.flattened(section).keys()
        return found

    def is_given_below(self, section: str, option: str) -> bool:
        """Whether one who inherits from the section gives the option, or a section without recipe waits for heirs."""
        heirs = self.kin[section] - {section}
        return any(option in self.options[heir] for heir in heirs) or not (heirs or self.recipes.get(section))

    @cached_property
    def words(self) -> frozenset[str]:
        """Options that consist of one word, which may be the name of a section: ``environment = settings``."""
        texts = (step.text for profile in self.catalogue.readable for _, step in _own_steps(profile))
        return frozenset(text.strip() for text in texts if len(text.split()) == 1)

    def is_whole(self, section: str) -> bool:
        """Whether somebody may read all of a section, or a recipe that is not ours does."""
        if not any(self.recipes.get(kin) for kin in self.kin[section]):
            return section in self.words
        return any(words_of(recipe) is None for kin in self.kin[section] for recipe in self.recipes.get(kin, ()))

    def is_used(self, section: str, option: str) -> bool:
        """Whether a recipe reads the option, or a text names it."""
        if option in self.expanded or ("", option) in self.named:
            return True
        kin = self.kin[section]
        if any((name, option) in self.named for name in kin):
            return True
        return any(option in (words_of(recipe) or ()) for name in kin for recipe in self.recipes.get(name, ()))


def _ancestors(profile: Profile, section: str) -> set[str]:
    found: set[str] = set()
    todo = [section]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += profile.value(name, "<").split() if name in profile.loaded.sections else []
    return found
