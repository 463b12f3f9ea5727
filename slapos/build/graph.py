"""What a profile would do, without doing it: its parts with described outputs and sources.

Nothing is run, written or fetched but the profiles themselves.  A recipe that is not ours is an opaque node: what it
would give to others is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slapos.build.options import Origin
from slapos.build.profile.buildout import KNOWN_FAILURES, Buildout
from slapos.build.profile.failure import as_error
from slapos.build.profile.load import Read
from slapos.build.profile.names import RecipeTable
from slapos.build.recipe import Source
from slapos.build.values import Value, as_text


@dataclass(frozen=True)
class PartNode:
    """One part; ``uses`` are the sections that it refers to; ``opaque`` when its recipe cannot describe itself.

    ``problem`` is a sentence when the part cannot even be described.
    """

    name: str
    recipe: str = ""
    options: Mapping[str, Value] = field(default_factory=dict)
    outputs: Mapping[str, Value] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    uses: tuple[str, ...] = ()
    origin: Origin | None = None
    opaque: bool = False
    signature: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Graph:
    """Parts in the order in which they would be processed, those with a problem last."""

    parts: tuple[PartNode, ...]


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
    for part in as_text(buildout["buildout"]["parts"]).split():
        try:
            buildout[part]
        except KNOWN_FAILURES as error:
            origin = buildout.first_origin(part)
            problems.append(PartNode(part, origin=origin, problem=as_error(error, part, origin).message))
    return Graph((*(_node(buildout, part) for part in buildout._parts), *problems))


class Opaque:
    """Stands for a recipe that is not ours."""


class _Describing(RecipeTable):
    """Names that are not in the table are opaque instead of refused."""

    def __init__(self, table: RecipeTable) -> None:
        super().__init__(table.extra, foreign=lambda name, origin, section: Opaque)


def _node(buildout: Buildout, part: str) -> PartNode:
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
    )
