"""Reads a profile into a :class:`slapos.build.graph.Graph`, in this process (``slapos.build.reading`` forks for it)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from slapos.build.graph import AFTER, Graph, Link, PartNode
from slapos.build.profile.buildout import KNOWN_FAILURES, Buildout
from slapos.build.profile.expression import BadReference, Reference, compiled
from slapos.build.profile.failure import as_error
from slapos.build.profile.load import Read
from slapos.build.profile.names import RecipeTable
from slapos.build.profile.parts import listed_part
from slapos.build.profile.section import Options
from slapos.build.recipe import Recipe
from slapos.build.values import MARKER, Value, as_text
from slapos.model.profiles import Origin

_OF_ITS_OWN = frozenset({"_profile_base_location_", "_buildout_section_name_"})


def read_graph(
    *,
    profile: str,
    directory: str,
    read: Read,
    overrides: Mapping[str, Mapping[str, Value]] | None = None,
    recipes: RecipeTable | None = None,
) -> Graph:
    """The parts of ``profile`` as they would be in ``directory``."""
    buildout = Buildout(
        profile=profile,
        directory=directory,
        read=read,
        overrides=overrides,
        recipes=_Describing(recipes or RecipeTable()),
        describe_only=True,
    )
    problems = []
    listed = dict.fromkeys(as_text(buildout["buildout"]["parts"]).split())
    for part in listed:
        try:
            listed_part(buildout, part)
        except KNOWN_FAILURES as error:
            problems.append(_problem(buildout, part, error))
    reading = _Links(buildout)
    nodes = tuple(_node(buildout, part, reading) for part in buildout._parts)
    return Graph((*nodes, *problems), profile, {part: _line_of(buildout, part) for part in listed})


class Opaque:
    """Stands for a recipe that is not ours."""


class _Describing(RecipeTable):
    """Names that are not in the table are opaque instead of refused."""

    def __init__(self, table: RecipeTable) -> None:
        super().__init__(table.extra, foreign=lambda name, origin, section: Opaque)


def _problem(buildout: Buildout, part: str, error: Exception) -> PartNode:
    origin = buildout.first_origin(part)
    known = as_error(error, part, origin)
    return PartNode(part, origin=origin, problem=known.message, error=known.as_data())


def _node(buildout: Buildout, part: str, links: _Links) -> PartNode:
    section = buildout[part]
    outputs = section.description.outputs
    return PartNode(
        name=part,
        recipe=as_text(section["recipe"]),
        options={option: value for option, value in section.copy().items() if option not in outputs},
        outputs=dict(outputs),
        sources=section.description.sources,
        uses=tuple(sorted(buildout.uses.get(part, ()))),
        origin=buildout.first_origin(part),
        opaque=section.recipe_class is Opaque,
        signature=section.signature,
        origins=_origins(buildout, part),
        reads=_reads(section),
        links=tuple(links.of(part)),
        inputs=section.stored.inputs if section.stored else None,
        private=section.private,
        unconfined=section.stored is None and _runs_commands(section.recipe_class),
    )


def _runs_commands(kind: type | None) -> bool:
    """Whether a part of this recipe does, where it is not stored."""
    if kind is None or not issubclass(kind, Recipe):
        return kind is Opaque
    return kind.runs_commands or (kind.stored and (kind.compiles or bool(kind.host_packages)))


def _origins(buildout: Buildout, part: str) -> dict[str, tuple[Origin, ...]]:
    found = {option: tuple(step.origin for step in steps) for option, steps in buildout[part].steps.items()}
    for name in sorted(buildout.uses.get(part, ())):
        if name != "buildout" and not buildout[name].get("recipe"):
            for option, steps in buildout[name].steps.items():
                found[f"{name} {option}"] = tuple(step.origin for step in steps)
    return found


def _line_of(buildout: Buildout, part: str) -> Origin | None:
    """The line of the ``parts`` that names a part; a profile that extends another adds to its list."""
    steps = buildout["buildout"].steps.get("parts", [])
    named = [step.origin for step in steps if part in step.text.split()]
    return named[-1] if named else steps[-1].origin if steps else None


class _Links:
    """Finds the parts that the options of a part lead to, through sections that are no parts."""

    def __init__(self, buildout: Buildout) -> None:
        self.buildout = buildout
        self.parts = frozenset(buildout._parts)

    def of(self, part: str) -> list[Link]:
        """One per option and way, then one per part that only the recipe asked for."""
        section = self.buildout[part]
        found = []
        for option in sorted(section.steps):
            for name, through in self._ways(section, option, ((part, option),)):
                found.append(Link(name, option, through, _origin_of(section, option, through[0])))
        reached = {link.part for link in found}
        asked = self._asked(part, {part}) - reached - {part}
        return list(dict.fromkeys(found)) + [Link(name) for name in sorted(asked)]

    def _ways(
        self, section: Options, option: str, seen: tuple[tuple[str, str], ...]
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        for reference in _references(section, option):
            name = reference.section or section.name
            step = f"{name}:{reference.option}"
            if name == seen[0][0] or (name, reference.option) in seen:
                continue  # an option of the part itself has links of its own
            if name in self.parts:
                yield name, (step,)
            elif name in self.buildout.sections:
                below = (*seen, (name, reference.option))
                for part, rest in self._ways(self.buildout[name], reference.option, below):
                    yield part, (step, *rest)

    def _asked(self, section: str, seen: set[str]) -> set[str]:
        """Parts that were used while the section was evaluated and described."""
        found: set[str] = set()
        for name in self.buildout.uses.get(section, set()) - seen:
            seen.add(name)
            found |= {name} if name in self.parts else self._asked(name, seen)
        return found


def _reads(section: Options) -> dict[str, tuple[str, ...]]:
    found = {
        option: tuple(
            reference.option for reference in _references(section, option) if reference.section in ("", section.name)
        )
        for option in section.steps
    }
    return {option: names for option, names in found.items() if names}


def _references(section: Options, option: str) -> Iterator[Reference]:
    """What the text of an option names; an option of the same section has a line of its own."""
    text = section._raw.get(option, "")
    if option == AFTER:
        yield from (Reference(name, "recipe") for name in text.split())
    if text.startswith(MARKER) or option == "<":
        return
    try:
        pieces = compiled(text)
    except BadReference:
        return
    yield from (piece for piece in pieces if isinstance(piece, Reference) and piece.option not in _OF_ITS_OWN)


def _origin_of(section: Options, option: str, name: str) -> Origin | None:
    """The line of the step that holds a reference."""
    steps = section.steps[option]
    holding = [step.origin for step in steps if f"${{{name}}}" in step.text]
    return (holding or [steps[-1].origin])[-1]
