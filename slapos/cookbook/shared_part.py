"""Parts that are installed once per machine, as the field does it: ``shared = true`` (spec 08 §4).

Such a part lies in ``<shared directory>/<part>/<md5 of its options>`` and says in ``.buildout-shared.json`` what it was
made from.  That file is written last, so that a killed build leaves nothing that looks built.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from slapos.build.place import Place
from slapos.build.profile.section import BASE_LOCATION, Options
from slapos.build.recipe import Recipe, identity
from slapos.build.values import as_text
from slapos.system.files import atomic_write
from slapos.system.locks import locked

RECORD = ".buildout-shared.json"
_PATIENCE = 4 * 3600.0  # seconds: somebody else may be compiling the same part


@dataclass(frozen=True)
class Site:
    """Where a part is installed; ``record`` is what a shared one was made from, None for a part of this run alone."""

    location: str
    record: str | None = None

    @property
    def is_built(self) -> bool:
        """Whether a shared part is there as a whole."""
        return self.record is not None and _is_built(self.location)

    @contextmanager
    def renewed(self, keep_work: bool = False) -> Iterator[str]:
        """As :meth:`slapos.build.place.Place.renewed`; a shared part gets its record and becomes read-only."""
        with Place(self.location).renewed(keep_work=keep_work) as work:
            yield work
            if self.record is not None:
                atomic_write(os.path.join(self.location, RECORD), self.record)
        if self.record is not None:
            _make_read_only(self.location)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else builds the same shared part meanwhile."""
        if self.record is None:
            yield
            return
        os.makedirs(os.path.dirname(self.location), exist_ok=True)
        lock = os.path.join(os.path.dirname(self.location), f".{os.path.basename(self.location)}.lock")
        with locked(lock, timeout=_PATIENCE, what=f"The shared part {self.location}"):
            yield


class SharedRecipe(Recipe):
    """A recipe of the field with the option ``shared``; a subclass says in :meth:`produce` how it is made."""

    def locate(self) -> None:
        """Decide where the part lies (``site``) and give ``location``; for :meth:`setup`."""
        self.site = self._site()
        self.set("location", self.site.location)

    def produce(self, work: str) -> None:
        """Make the directory ``self.site.location``; ``work`` is an empty directory beside it."""
        raise NotImplementedError(f"{type(self).__name__}.produce")

    def install(self) -> list[str]:
        with self.site.alone():
            if not self.site.is_built:
                with self.site.renewed() as work:
                    self.produce(work)
        # What is returned is removed with the part: a shared one belongs to others too.
        return [] if self.site.record is not None else [self.site.location]

    def update(self) -> list[str]:
        """A shared part may have been removed by a person."""
        return self.install() if self.site.record is not None and not self.site.is_built else []

    def place(self, option: str) -> None:
        """Take the place that an option names instead; it is replaced as a whole, so nothing of the run lies in it."""
        self.refuse_shared(option, "does not go with shared.")
        location = os.path.normpath(os.path.join(self.directory, self.text(option).strip()))
        if f"{os.path.normpath(self.directory)}/".startswith(f"{location.rstrip('/')}/"):
            raise self.error(option, f"{location} holds the profile's directory.", reference="invalid-option")
        self.site = Site(location)

    def refuse_shared(self, option: str, sentence: str) -> None:
        """:class:`ProfileError` when the part is to be shared: ``option`` does not go with that."""
        if self.boolean("shared", False):
            raise self.error(option, sentence, reference="not-shareable")

    def _site(self) -> Site:
        private = Site(os.path.join(self.view.parts_directory, self.name))
        directories = self.buildout["buildout"].get("shared-part-list") if self.boolean("shared", False) else None
        if not directories:
            return private
        record = self._record()
        name = os.path.join(self.name, hashlib.md5(record.encode(), usedforsecurity=False).hexdigest())
        known = [line.strip().rstrip("/") for line in as_text(directories).splitlines() if line.strip()]
        for directory in known:
            if _is_built(os.path.join(directory, name)):
                return Site(os.path.join(directory, name), record)
        writable = next((directory for directory in known if os.access(directory, os.W_OK | os.X_OK)), None)
        return Site(os.path.join(writable, name), record) if writable else private

    def _record(self) -> str:
        """All options as sorted JSON, the place of the profile left out: the same part has the same record."""
        options = cast("Options", self.options)
        base = as_text(options[BASE_LOCATION])
        made_from = {
            name: as_text(value).replace(base, f"${{:{BASE_LOCATION}}}")
            for name, value in options.copy().items()
            if name not in (BASE_LOCATION, "<")
        }
        kind: type = type(self)
        made_from["__buildout_signature__"] = f"{identity(kind)} {self.fingerprint()}".rstrip()
        return json.dumps(made_from, ensure_ascii=False, indent=2, sort_keys=True)


def _is_built(location: str) -> bool:
    return os.path.exists(os.path.join(location, RECORD)) and Place(location).is_whole


def _make_read_only(top: str) -> None:
    for directory, _, files in os.walk(top, topdown=False):
        for name in files:
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) & ~0o222)
        os.chmod(directory, stat.S_IMODE(os.stat(directory).st_mode) & ~0o222)
