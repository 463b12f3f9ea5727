"""``hyperopenx:publish``: what the requester gets back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from slapos.build.recipe import Recipe
from slapos.cookbook.connection import as_json, flat, guid_of, has_document
from slapos.cookbook.publication import publish_once
from slapos.model.text import check_texts

_RECIPE_OPTIONS = frozenset({"recipe"})


class Publish(Recipe):
    """All options but ``recipe`` and those that begin with ``-`` become the connection parameters."""

    CONNECTION_IN_SECTION_ONLY: ClassVar[bool] = True
    OPTIONS: ClassVar[dict[str, str]] = {"-extends": "", "-publish": "", "-slave-reference": "", "<name>": ""}

    def setup(self) -> None:
        # The sections are used here, so that they are processed before this one and block it while they wait.
        for section in self.names("-extends", ()):
            self.buildout[section]

    def install(self) -> list[str]:
        connection = check_texts("connection", self.connection(self._collected(self.name, ())))
        guid = self.text("-slave-reference", "") or guid_of(self)
        publish_once(self, guid, connection)
        return []

    def update(self) -> list[str]:
        """Options of other sections may have changed; where looking costs a call, only those are a reason to send."""
        return self.install() if has_document(self) or "-extends" in self.view else []

    def connection(self, values: Mapping[str, Any]) -> dict[str, str]:
        """The values as flat texts."""
        return {key: flat(value) for key, value in values.items()}

    def _collected(self, section: str, above: tuple[str, ...]) -> dict[str, Any]:
        """Values of a section with those of the sections that it extends below them."""
        if section in above:
            chain = " → ".join((*above[above.index(section) :], section))
            raise self.error("-extends", f"a section extends itself: {chain}.", reference="cycle")
        options = self.options if section == self.name else self.buildout[section]
        result: dict[str, Any] = {}
        for other in str(options.get("-extends", "") or "").split():
            result |= self._collected(other, (*above, section))
        chosen = str(options.get("-publish", "") or "").split()
        for name in chosen or [name for name in options if _is_published_name(name)]:
            result[name] = options[name]
        return result


class Serialised(Publish):
    """The same, as one JSON object under ``_``."""

    def connection(self, values: Mapping[str, Any]) -> dict[str, str]:
        """One member ``_``; the keys are sorted."""
        return {"_": as_json(dict(values))}


def _is_published_name(name: str) -> bool:
    # Names with ``_`` and ``<`` at the beginning belong to the language of profiles.
    return name not in _RECIPE_OPTIONS and not name.startswith(("-", "<", "__", "_profile_", "_buildout_"))
