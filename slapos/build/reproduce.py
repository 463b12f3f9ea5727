"""Builds a stored part again, in circumstances that should not matter, and compares every byte.

Two builds differ in their directory, the number of jobs, the user that they see and the time.  The first is the part in
the store, when its record says how it was made; else both are made.  A build is for the place that the part has in the
store, which a sandbox lets it see; nothing is written there.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from slapos.build.parallel import Event, Outcome, Say, Task, run_side_by_side
from slapos.build.profile.buildout import KNOWN_FAILURES, Buildout
from slapos.build.profile.failure import as_error
from slapos.build.profile.section import Options
from slapos.build.sandbox import USER, available
from slapos.build.store.building import Building, make_read_only
from slapos.build.store.content import Content, content_of, walk
from slapos.build.store.inputs import Inputs
from slapos.build.store.record import SANDBOXED, PartRecord
from slapos.build.store.site import Stored
from slapos.build.store.store import Store
from slapos.build.tree_difference import TreeDifference, first_difference
from slapos.model.errors import BuildFailed, InputError, MachineError, from_data
from slapos.system.removal import remove_tree


@dataclass(frozen=True)
class Circumstances:
    """Of one build: ``directory`` for it, at most ``slots`` jobs, and the number of the user as it sees it."""

    directory: str
    slots: int
    user: int


@dataclass(frozen=True)
class Build:
    """One of two: done at ``at`` (UTC epoch seconds), at most ``jobs`` at once, in ``seconds``.

    ``stored``: it is the part in the store, which was there before.
    """

    at: float
    jobs: int
    seconds: float
    stored: bool = False

    @property
    def day(self) -> str:
        """UTC."""
        return time.strftime("%Y-%m-%d", time.gmtime(self.at))

    @property
    def sentence(self) -> str:
        """For people, without its end."""
        jobs = "1 job" if self.jobs == 1 else f"{self.jobs} jobs"
        return f"the one in the store, built {self.day} with at most {jobs}" if self.stored else f"one with {jobs}"


@dataclass(frozen=True)
class Reproduced:
    """How two builds of a part compare: ``difference`` None when not a byte differs."""

    part: str
    version: str
    difference: TreeDifference | None
    files: int
    builds: tuple[Build, Build]

    @property
    def sentence(self) -> str:
        """For people."""
        compared = " and ".join(build.sentence for build in self.builds)
        if self.difference is None:
            return f"{self.part}: two builds made the same {self.files} files, byte for byte: {compared}."
        return f"{self.part}: two builds differ, {compared}. {self.difference.path}: {self.difference.sentence}."


@dataclass
class _Trial(Building):
    """A build whose tree stays in its own directory."""

    directory: str = ""

    @property
    def work(self) -> str:
        return os.path.join(self.directory, "work")

    def begin(self) -> None:
        os.makedirs(self.work)

    def finish(self, inputs: Inputs, content: Content | None = None) -> PartRecord:
        make_read_only(self.tree)
        return self._record(inputs, content or content_of(self.tree, self.roots))

    def end(self) -> None:
        """The tree is still to be compared."""


class _TrialStore(Store):
    """A store that has all parts but the one that is tried."""

    def __init__(self, stored: Stored, way: Circumstances) -> None:
        super().__init__(stored.store.roots)
        self.tried = stored
        self.way = way

    def find(self, part: str, digest: str) -> str | None:
        """See :meth:`Store.find`."""
        tried = (self.tried.inputs.part, self.tried.inputs.digest)
        return None if (part, digest) == tried else super().find(part, digest)

    @contextmanager
    def building(self, part: str, digest: str, patience: float = 0.0) -> Iterator[Building | None]:
        """See :meth:`Store.building`; always builds, and never puts the result in place."""
        building = _Trial(
            root=self.root,
            roots=self.roots,
            part=part,
            digest=digest,
            location=self.tried.location,
            user=self.way.user,
            directory=self.way.directory,
        )
        building.begin()
        yield building


def reproduce(buildout: Buildout, part: str) -> Reproduced:
    """Build ``part`` and compare it with the one in the store, or with another build; what it needs must be there.

    ``InputError`` ``not-stored`` for a part that is not; ``MachineError`` ``no-sandbox``; errors of the build.
    """
    section = _checked(buildout, part)
    scratch = tempfile.mkdtemp(prefix=f".check-{part}-", dir=_scratch_root(buildout))
    try:
        one, first = _stored(section) or _built(buildout, section, Circumstances(os.path.join(scratch, "a"), 1, USER))
        far = os.path.join(scratch, "another", "directory", "of", "it")
        other, second = _built(buildout, section, Circumstances(far, 3 if first.jobs == 1 else 1, USER + 1001))
        difference = first_difference(one, other) or _dated(other)
        files = sum(1 for _ in walk(other))
        return Reproduced(part, str(section.get("version", "")), difference, files, (first, second))
    finally:
        remove_tree(scratch)


def _stored(section: Options) -> tuple[str, Build] | None:
    """The part in the store, when it was made on this machine in a sandbox, with a number of jobs that is known."""
    stored = section.stored
    assert stored is not None
    record = stored.store.record(stored.inputs.part, stored.inputs.digest)
    if record is None or record.sandbox != SANDBOXED or not record.jobs or record.fetched:
        return None
    return stored.location, Build(record.built_at, record.jobs, record.total_seconds, stored=True)


def _checked(buildout: Buildout, part: str) -> Options:
    if part not in buildout:
        raise InputError(f"There is no part {part}.", reference="unknown-part", context={"part": part})
    section = buildout[part]
    if section.stored is None:
        raise InputError(
            f"{part} is not stored, so nothing says that it is the same elsewhere: {section.private}.",
            reference="not-stored",
            context={"part": part},
        )
    buildout["buildout"]["sandbox"] = "true"
    reason = available()
    if reason:
        raise MachineError(
            f"{part} cannot be built twice for one place: {reason}.",
            reference="no-sandbox",
            context={"part": part},
            hint="Both builds have to see their result at the place of the part, which only a sandbox can show them.",
        )
    return section


def _scratch_root(buildout: Buildout) -> str:
    """On the disk of the store."""
    assert buildout.store is not None
    buildout.store.prepare()
    return os.path.join(buildout.store.root, ".work")


def _built(buildout: Buildout, section: Options, way: Circumstances) -> tuple[str, Build]:
    """A tree below the directory of ``way``, made by a process of its own."""
    stored = section.stored
    assert stored is not None
    trial = dataclasses.replace(stored, store=_TrialStore(stored, way))
    log = os.path.join(buildout._buildout_dir, ".build-log", f"{section.name}.log")

    def run(say: Say) -> None:
        section.stored = trial
        buildout.stage = say
        try:
            section._call(section.recipe.install)
        except KNOWN_FAILURES as error:
            raise as_error(error, "") from error

    outcome = _one(Task(section.name, run, log=log), way.slots)
    if outcome.error is not None:
        raise from_data(outcome.error)
    return os.path.join(way.directory, "work", "tree"), Build(time.time(), way.slots, outcome.seconds)


def _one(task: Task, slots: int) -> Outcome:
    def silent(event: Event) -> None:
        """Whoever waits is told at the end."""

    return run_side_by_side([task], slots, silent)[0]


def _dated(tree: str) -> TreeDifference | None:
    """A file that names the day of today: two builds of one day agree in it, and those of another do not."""
    day = time.gmtime()
    forms = ("%Y-%m-%d", "%Y%m%d", "%b %d %Y", "%d %b %Y", "%a %b %d", "%B %d, %Y")
    texts = [time.strftime(form, day).encode() for form in forms]
    for path, facts in walk(tree):
        if not os.path.isfile(path) or os.path.islink(path) or not facts.st_size:
            continue
        with open(path, "rb") as stream:
            data = stream.read()
        found = next((text for text in texts if text in data), None)
        if found is not None:
            return TreeDifference(os.path.relpath(path, tree), f"it holds the day of its build, {found.decode()}")
    return None


def require_same(found: Reproduced) -> None:
    """Raise ``BuildFailed`` ``not-reproducible`` unless the builds were the same."""
    if found.difference is not None:
        raise BuildFailed(
            found.sentence,
            reference="not-reproducible",
            context={"part": found.part, "path": found.difference.path},
            hint="A time, a random number, a list in the order of the disk?  See the page on reproducible parts.",
        )
