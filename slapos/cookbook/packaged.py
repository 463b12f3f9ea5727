"""What recipes have in common that install packages which others made: exact, fetched first, then put in place."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import ClassVar, cast

from slapos.build import dpkg
from slapos.build.command import CommandLog
from slapos.build.profile.buildout import Buildout
from slapos.build.profile.load import joined
from slapos.build.recipe import Description, Ingredients, OptionsView, Profile, Recipe, Value
from slapos.build.store.site import site_of
from slapos.cookbook.beside import read_beside, read_once
from slapos.model.errors import BuildFailed, HyperopenxError, NotFound, Unavailable
from slapos.system.locks import locked

FETCH_SECONDS = 1800.0


class PackagedRecipe(Recipe):
    """A subclass gives ``location`` in ``describe`` and says in :meth:`produce` how it is made."""

    stored: ClassVar[bool] = True
    compiles: ClassVar[bool] = False

    def install(self) -> list[str]:
        self.place = site_of(self)
        self.place.make(self._produce)
        return self.place.owned

    def produce(self, work: str) -> None:
        """Fetch, then make the part, for ``self.place.location``; ``work`` is an empty directory."""
        raise NotImplementedError(f"{type(self).__name__}.produce")

    def _produce(self, work: str) -> None:
        self.produce(work)
        self._check_promises()

    def command_log(self, environment: dict[str, str]) -> CommandLog:
        """For commands that run in the sandbox; ``environment`` comes on top of what each build gets."""
        return CommandLog(
            os.path.join(self.directory, ".build-log", f"{self.name}.log"),
            environment={**self.place.environment(), **environment},
            sandbox=self.place.sandbox,
        )

    def download_cache(self, kind: str, key: str) -> str:
        """A directory of the download cache for files that belong together."""
        cache = self.buildout["buildout"].get("download-cache") or os.path.join(self.directory, ".download-cache")
        return os.path.join(str(cache), kind, key)

    @property
    def is_stored(self) -> bool:
        """Whether the part is one of the store: then digests tell what changed."""
        return getattr(self.options, "stored", None) is not None

    @property
    def is_offline(self) -> bool:
        """Whether this run fetches nothing."""
        return self.buildout["buildout"].get("offline") in (True, "true")

    def _check_promises(self) -> None:
        for line in self.lines("promises", ()):
            path = line.replace("@@LOCATION@@", self.place.location)
            if not os.path.exists(self.place.now(path)):
                raise BuildFailed(
                    f"{self.name}: {path} is promised and is in none of the packages.",
                    reference="broken-promise",
                    context={"missing": [path]},
                )


class LockedRecipe(PackagedRecipe):
    """The packages are in a file beside the profile, which the option :data:`lock` names: its content counts."""

    lock: ClassVar[str]
    programs: ClassVar[str]
    """Where the programs are, below the location."""

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        options.text(cls.lock)
        return Description(places_of(name, options, cls.programs))

    @classmethod
    def ingredients(cls, name: str, options: OptionsView, profile: Profile) -> Ingredients:
        try:
            data = read_once(cast("Buildout", profile), _lock_file(options, cls.lock))
        except HyperopenxError as error:
            return Ingredients(private=f"its file cannot be read: {error}")
        return Ingredients(texts={cls.lock: cls.counted(data), **cls.of_machine(options)})

    @classmethod
    def counted(cls, data: bytes) -> str:
        """What of the file makes the part another one."""
        return hashlib.sha256(data).hexdigest()

    @classmethod
    def of_machine(cls, options: OptionsView) -> dict[str, str]:
        """What of the machine the part is for, by name."""
        return {}

    def lock_text(self) -> str:
        """The file; :class:`ProfileError` ``missing-file`` or ``invalid-file``."""
        place = _lock_file(self.view, self.lock)
        try:
            return read_beside(self, place).decode()
        except NotFound:
            raise self.error(self.lock, f"{place} does not exist.", reference="missing-file") from None
        except UnicodeDecodeError:
            raise self.error(self.lock, f"{place} is no text.", reference="invalid-file") from None

    def fetched(self, kind: str, key: str, bring: Callable[[str], None]) -> str:
        """The directory of the download cache for ``key``; ``bring`` makes it, once, unless the run is offline."""
        directory = self.download_cache(kind, hashlib.sha256(key.encode()).hexdigest()[:32])
        os.makedirs(os.path.dirname(directory), exist_ok=True)
        with locked(f"{directory}.lock", timeout=FETCH_SECONDS, what=f"The download of {kind}"):
            if not os.path.isdir(directory):
                if self.is_offline:
                    raise Unavailable(
                        f"{self.name}: its {kind} are not in the download cache, and this run is offline.",
                        reference="offline",
                    )
                bring(directory)
        return directory

    def fingerprint(self) -> str:
        """The file may change while its name stays."""
        try:
            return f"{self.lock}={hashlib.sha256(self.lock_text().encode()).hexdigest()[:16]}"
        except HyperopenxError:
            return ""  # told when it is needed


def places_of(name: str, options: OptionsView, programs: str) -> dict[str, Value]:
    """``location``, and ``bin-directory``, which is ``programs`` below it."""
    location = location_of(name, options)
    return {"location": location, "bin-directory": f"{location}/{programs}"}


def location_of(name: str, options: OptionsView) -> str:
    """The option ``location``, by default below the parts of the release."""
    given = options.text("location", f"{options.parts_directory}/{name}")
    return os.path.normpath(os.path.join(options.directory, given))


def package_versions(prefixes: tuple[str, ...]) -> str:
    """``name version`` of the machine's packages of Debian whose names begin so; empty without dpkg."""
    found = [f"{name} {package.version}" for name, package in dpkg.installed().items() if name.startswith(prefixes)]
    return ", ".join(sorted(found))


def _lock_file(options: OptionsView, option: str) -> str:
    return joined(options.directory, options.text(option).strip())
