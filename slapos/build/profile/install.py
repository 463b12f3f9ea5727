"""Brings a directory to what its profile says: the loop over the parts.

Three things differ from stock buildout, on purpose.  Files of changed parts are removed only after the whole run
succeeded, so that a failing later part never takes a running service away.  A part that waits or fails does not end
the run: the parts that do not use it go on.  And a part is marked as unfinished before it is touched, so that a killed
run never leaves something half-done that looks whole.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from slapos.build.foreign.recipe import uninstall
from slapos.build.job import Outcome, PartOutcome, PartResult, in_place_sentence
from slapos.build.profile.buildout import KNOWN_FAILURES, Buildout
from slapos.build.profile.failure import as_error
from slapos.build.profile.parts import listed_part
from slapos.build.profile.removal import remove_stale
from slapos.build.profile.section import Options
from slapos.build.profile.state import InstalledPart, write_state
from slapos.build.recipe import identity
from slapos.build.values import as_text
from slapos.model.errors import HyperopenxError, NotReady

_log = logging.getLogger(__name__)


@dataclass
class Report:
    """How the run ended; ``errors`` are those of parts that failed or wait, not of those that these block."""

    parts: list[PartResult] = field(default_factory=list)
    errors: list[HyperopenxError] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        outcomes = {part.outcome for part in self.parts}
        return "failed" if "failed" in outcomes else "waiting" if "waiting" in outcomes else "done"

    @property
    def sentence(self) -> str:
        """One sentence for people."""
        if self.outcome == "done":
            return in_place_sentence(len(self.parts))
        kind: PartOutcome = "failed" if self.outcome == "failed" else "waiting"
        return " ".join(part.sentence for part in self.parts if part.outcome == kind)

    @property
    def first_error(self) -> HyperopenxError | None:
        """The first failure; when nothing failed, what the first waiting part waits for."""
        failures = [error for error in self.errors if not isinstance(error, NotReady)]
        return next(iter(failures + self.errors), None)


@dataclass(frozen=True)
class Made:
    """What became of a stored part before the loop: made in ``seconds``, or not because of ``error``, or because
    nothing needs it."""

    seconds: float = 0.0
    error: HyperopenxError | None = None
    needed: bool = True


Ahead = Callable[[Buildout, Sequence[str]], Mapping[str, Made]]
"""Makes the stored parts among those named, before the loop."""


def nothing_ahead(buildout: Buildout, parts: Sequence[str]) -> Mapping[str, Made]:
    """Stored parts are made by the loop, one after another."""
    return {}


def install(buildout: Buildout, ahead: Ahead = nothing_ahead) -> Report:
    """Install, update or keep every part; see the module for what is kept when one fails."""
    try:
        return _Installation(buildout, ahead).run()
    finally:
        buildout.close()


class _Installation:
    def __init__(self, buildout: Buildout, ahead: Ahead) -> None:
        self.buildout = buildout
        self.ahead = ahead
        self.made: Mapping[str, Made] = {}
        self.state = buildout.state
        self.report = Report()
        self.bad: dict[str, PartOutcome] = {}
        self.changed = False

    def run(self) -> Report:
        for part in self._listed():
            self._initialise(part)
        order = list(self.buildout._parts)
        self.made = self.ahead(self.buildout, order)
        order = [part for part in order if part not in self.made or self.made[part].needed]
        self._mark_changed(order)
        for index, part in enumerate(order, start=1):
            self.buildout.observe(part, index, len(order), "start")
            self.buildout.stage = self._stage(part, index, len(order))
            self._process(part)
        self._finish(order)
        return self.report

    def _stage(self, part: str, index: int, total: int) -> Callable[[str], None]:
        return lambda stage: self.buildout.observe(part, index, total, stage)

    def _listed(self) -> list[str]:
        return as_text(self.buildout["buildout"]["parts"]).split()

    def _initialise(self, part: str) -> None:
        try:
            listed_part(self.buildout, part)
        except KNOWN_FAILURES as error:
            root = next((name for name, known in self.buildout.failures.items() if known is error), part)
            if root != part and "recipe" in self.buildout.sections[root]:
                self._note_failure(root, error, 0.0)
                self._note_blocked(part, root)
            else:
                self._note_failure(part, error, 0.0)

    def _mark_changed(self, order: list[str]) -> None:
        changed = [part for part in order if not self._is_same(part)]
        for part in changed:
            if part in self.state.parts:
                self.state.parts[part].whole = False
        if any(part in self.state.parts for part in changed):
            self._save()

    def _is_same(self, part: str) -> bool:
        options: Options = self.buildout[part]
        old = self.state.parts.get(part)
        if options.stored is not None and not options.stored.is_built:
            return False
        return old is not None and old.same_as(options.copy(), options.signature)

    def _process(self, part: str) -> None:
        blocker = next((name for name in sorted(self.buildout.all_uses(part)) if name in self.bad), None)
        if blocker is not None:
            self._note_blocked(part, blocker)
            return
        made = self.made.get(part)
        self._know_recipe(part)
        begin = time.monotonic() - (made.seconds if made else 0.0)
        try:
            if made is not None and made.error is not None:
                raise made.error
            with self.buildout.active(part):
                outcome = self._update(part) if self._is_whole(part) else self._install(part)
        except KNOWN_FAILURES as error:
            if part in self.state.parts:
                self.state.parts[part].whole = False
                self._save()
            self._note_failure(part, error, time.monotonic() - begin)
            return
        self.report.parts.append(PartResult(part, "installed" if made else outcome, "", time.monotonic() - begin))
        self._take_nested()

    def _know_recipe(self, part: str) -> None:
        """Its code is digested once in a process, which is no part's time."""
        kind = self.buildout[part].recipe_class
        if kind is not None:
            identity(kind)

    def _is_whole(self, part: str) -> bool:
        return part in self.state.parts and self.state.parts[part].whole and self._is_same(part)

    def _update(self, part: str) -> PartOutcome:
        options: Options = self.buildout[part]
        update = getattr(options.recipe, "update", options.recipe.install)
        new = [path for path in self._paths(options._call(update)) if path not in self.state.parts[part].paths]
        if new:
            self.state.parts[part].paths += new
            self._save()
        return "kept"

    def _install(self, part: str) -> PartOutcome:
        options: Options = self.buildout[part]
        self.buildout.stage("install")
        _log.info("Installing %s.", part)
        self._before_leaving(part)
        saved = options.copy()
        paths = self._paths(options._call(options.recipe.install))
        old = self.state.parts.pop(part, None)
        if old is not None:
            self.state.retire([path for path in old.paths if path not in paths])
        self.state.parts[part] = InstalledPart(saved, options.signature, paths)
        self._save()
        return "installed"

    def _before_leaving(self, part: str) -> None:
        """What was installed for a part by a recipe that is not ours may be more than files."""
        old = self.state.parts.get(part)
        if old is not None and self.buildout.recipes.is_foreign(as_text(old.options.get("recipe", ""))):
            uninstall(self.buildout, part, old.options)

    def _paths(self, answer: str | Iterable[str] | None) -> list[str]:
        paths = [answer] if isinstance(answer, str) else list(answer or ())
        directory = self.buildout._buildout_dir
        return list(dict.fromkeys(os.path.normpath(os.path.join(directory, path)) for path in paths))

    def _note_failure(self, part: str, error: Exception, seconds: float) -> None:
        if part in self.bad:
            return
        known = as_error(error, part, self.buildout.first_origin(part))
        outcome: PartOutcome = "waiting" if isinstance(known, NotReady) else "failed"
        self.bad[part] = outcome
        log = _log.info if outcome == "waiting" else _log.error
        log("%s %s: %s", part, "waits" if outcome == "waiting" else "failed", known.message)
        self.report.errors.append(known)
        self.report.parts.append(PartResult(part, outcome, known.message, seconds))
        self._take_nested()

    def _note_blocked(self, part: str, blocker: str) -> None:
        self.bad[part] = "blocked"
        self.report.parts.append(PartResult(part, "blocked", f"{part} needs {blocker}, which is not there yet."))

    def _take_nested(self) -> None:
        self.report.parts += self.buildout.nested_results
        self.buildout.nested_results.clear()

    def _finish(self, order: list[str]) -> None:
        if self.report.outcome == "done":
            for part in [name for name in self.state.parts if name not in order]:
                self._before_leaving(part)
                self.state.retire(self.state.parts.pop(part).paths)
                self.changed = True
            if self.state.stale:
                remove_stale(self.state.stale, self.state.current_paths(), self.buildout._buildout_dir)
                self.state.stale.clear()
                self.changed = True
        if self.changed:
            self._save(durable=True)

    def _save(self, durable: bool = False) -> None:
        self.changed = True
        write_state(self.buildout.state_path, self.state, durable=durable)
