"""``hyperopenx:switch-softwaretype``: the profile of the instance's software type, run in the same directory."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from slapos.build.profile.buildout import Buildout
from slapos.build.profile.nested import run_nested
from slapos.build.recipe import Recipe
from slapos.build.values import as_text

_CONFIGURATION = "slap-configuration"
_COPIED = ("slap-connection", "slap_connection", "storage-configuration", "network-information")
_OWN = frozenset({"recipe", "override"})


class SwitchSoftwareType(Recipe):
    """Options ``<software type> = <section>:<option>`` name profiles; ``override`` maps types to other profiles."""

    OPTIONS: ClassVar[dict[str, str]] = {"<software type>": "", "override": "{}"}

    def setup(self) -> None:
        """The profiles are outputs of other parts: those are processed first."""
        self.profile = self._profile()

    def install(self) -> list[str]:
        buildout = cast("Buildout", self.buildout)
        run_nested(buildout, self.name, self.profile, self._sections())
        return []

    def update(self) -> list[str]:
        """The nested profile is processed every time, as the outer one is."""
        return self.install()

    def _profile(self) -> str:
        kind = as_text(self.buildout[_CONFIGURATION]["slap-software-type"])
        override = self.value("override", {})
        types = {name: self.text(name) for name in self.view if name not in _OWN and not name.startswith(("_", "<"))}
        if isinstance(override, dict):
            types |= {str(name): str(profile) for name, profile in override.items()}
        wanted = "default" if kind == "RootSoftwareInstance" and kind not in types else kind
        if wanted not in types:
            raise self.error(
                wanted[:60],
                f"there is no profile for the software type {wanted[:60]!r}.",
                reference="unknown-software-type",
                hint=f"Known types: {', '.join(sorted(types)) or 'none'}.",
            )
        return self._resolved(types[wanted])

    def _resolved(self, target: str) -> str:
        """A path as it is; ``section:option`` (the field writes it without ``${}``) as what it names."""
        section, colon, option = target.strip().partition(":")
        if colon and "/" not in section and section in cast("Buildout", self.buildout):
            return as_text(self.buildout[section][option])
        return target

    def _sections(self) -> dict[str, dict[str, Any]]:
        """What the nested profile is given; its ``[slap-configuration]`` asks nobody again."""
        buildout = cast("Buildout", self.buildout)
        result = {name: dict(buildout[name].copy()) for name in _COPIED if name in buildout}
        known = {name: value for name, value in buildout[_CONFIGURATION].copy().items() if not name.startswith("<")}
        result[_CONFIGURATION] = {**known, "recipe": None}
        return result
