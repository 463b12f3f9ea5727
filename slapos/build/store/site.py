"""Where a recipe puts its part: in the store, or in ``parts/`` of its release.

A recipe with ``stored = True`` installs like this, and need not know where its part will lie::

    def install(self) -> list[str]:
        self.place = site_of(self)
        self.place.make(self._produce)   # not called for a part that the store has by now
        return self.place.owned

    def _produce(self, work: str) -> None:
        ...                               # make the tree below ``work``, for ``self.place.location``
        self.place.put(tree)              # or make ``self.place.location`` itself

Its commands get ``self.place.environment()`` and run in ``self.place.sandbox`` where there is one (None: outside);
``self.place.now(path)`` says where a file of the part is meanwhile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from slapos.build.jobserver import VARIABLE, most_jobs
from slapos.build.place import Place
from slapos.build.recipe import Recipe
from slapos.build.sandbox import ENVIRONMENT, Sandbox
from slapos.build.store.building import MARK, Building, seconds_of
from slapos.build.store.hermetic import closure, sandbox_for
from slapos.build.store.inputs import Inputs
from slapos.build.store.store import Store

if TYPE_CHECKING:
    from slapos.build.profile.section import Options


@dataclass(frozen=True)
class Stored:
    """A part of a profile that lies in ``store``: what it is made from, and where it is or will be.

    ``compilers`` are the parts that it is compiled with, when the machine's compiler is not used.
    """

    store: Store
    inputs: Inputs
    location: str
    compilers: tuple[str, ...] = ()

    @property
    def is_built(self) -> bool:
        """Whether the store has it."""
        return self.store.find(self.inputs.part, self.inputs.digest) is not None


class Site(Protocol):
    """What a recipe uses of its place."""

    location: str

    @property
    def owned(self) -> list[str]:
        """What ``install`` returns."""
        ...

    @property
    def sandbox(self) -> Sandbox | None:
        """Where commands run; None: as they are."""
        ...

    def environment(self) -> dict[str, str]:
        """What commands get, to which the part's own ``environment`` is added."""
        ...

    def make(self, produce: Callable[[str], None], keep_work: bool = False) -> None:
        """Call ``produce`` with an empty work directory, unless there is nothing to do."""
        ...

    def put(self, tree: str) -> None:
        """Take the directory ``tree``, in the work directory, as the part."""
        ...

    def now(self, path: str) -> str:
        """Where ``path``, which may lie below the location, is at this moment of making it."""
        ...


class StoredSite:
    """A part of the store; the lock of the part is held while it is made."""

    def __init__(self, *, stored: Stored, recipe: Recipe) -> None:
        self.stored = stored
        self.recipe = recipe
        self.location = stored.location
        self.building: Building | None = None
        self.sandbox: Sandbox | None = None

    @property
    def owned(self) -> list[str]:
        """Nothing: buildout removes what a part owns, and the store belongs to others too."""
        return []

    def make(self, produce: Callable[[str], None], keep_work: bool = False) -> None:
        """Build the part unless the store has it, or gets it from somebody else meanwhile."""
        if self.stored.is_built:  # perhaps in a store that can only be read
            return
        inputs = self.stored.inputs
        with self.stored.store.building(inputs.part, inputs.digest) as building:
            if building is None:
                return
            self.building = building
            building.jobs = most_jobs(os.environ)
            self.sandbox, building.sandbox = sandbox_for(building, inputs, self.stored.store, self.recipe)
            try:
                produce(building.work)
                building.stages |= seconds_of(self.recipe.stages, time.monotonic())
                building.sources += _sources_used(self.recipe)
                building.finish(inputs)
            finally:
                self.building, self.sandbox = None, None

    def environment(self) -> dict[str, str]:
        """The same for everybody, with the pool of job slots; programs of the toolchain's parts come first."""
        assert self.building is not None
        found = dict(ENVIRONMENT)
        if self.sandbox is None:
            found |= {"HOME": self.building.work, MARK: self.location}
        if self.stored.compilers:
            dependencies = self.stored.inputs.dependencies
            compilers = {part: dependencies[part] for part in self.stored.compilers}
            tools = [os.path.join(location, "bin") for location in closure(self.stored.store, compilers)]
            found["PATH"] = os.pathsep.join([*tools, found["PATH"]])
        return found | {name: os.environ[name] for name in (VARIABLE,) if name in os.environ}

    def put(self, tree: str) -> None:
        """In a sandbox the tree is seen at the location wherever it lies; elsewhere hooks must find it there.  It is
        no part yet: it has no record."""
        assert self.building is not None
        os.rename(tree, self.building.tree if self.sandbox else self.location)

    def now(self, path: str) -> str:
        """In the tree to be, once that is made."""
        if self.building is None or not os.path.isdir(self.building.tree):
            return path
        inside = path == self.location or path.startswith(f"{self.location}/")
        return self.building.tree + path.removeprefix(self.location) if inside else path


def _sources_used(recipe: Recipe) -> Iterator[str]:
    """Of each source the accepted digest that the download cache has, in the order in which the fetcher looks."""
    cache = str(recipe.buildout["buildout"].get("download-cache") or os.path.join(recipe.directory, ".download-cache"))
    for source in recipe.description.sources:
        for digest in source.sha256:
            if os.path.exists(os.path.join(cache, "sha256", digest)):
                yield digest
                break


def site_of(recipe: Recipe) -> Site:
    """The place of the part of this recipe."""
    options: Options | object = recipe.options
    stored: Stored | None = getattr(options, "stored", None)
    if stored is not None:
        return StoredSite(stored=stored, recipe=recipe)
    return Place(str(recipe.options["location"]))
