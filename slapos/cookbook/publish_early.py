"""``hyperopenx:publish-early``: values that are generated once and published before anything uses them."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from slapos.build.options import Origin
from slapos.build.profile.buildout import Buildout
from slapos.build.profile.reader import Step
from slapos.build.recipe import Recipe
from slapos.build.values import dumps
from slapos.cookbook.connection import as_json, client_of, decoded_connection, guid_of, has_document, instance_of
from slapos.cookbook.publication import publish_once
from slapos.model.text import check_texts


class PublishEarly(Recipe):
    """``-init`` lines ``name section:option``: the option starts with what is published under ``name``."""

    CONNECTION_IN_SECTION_ONLY: ClassVar[bool] = True
    OPTIONS: ClassVar[dict[str, str]] = {"-init": "", "<name>": ""}

    def setup(self) -> None:
        wanted = self._wanted()
        published = self._published([name for name, _, _ in wanted])
        values: dict[str, Any] = {}
        for name, section, option in wanted:
            forced = self.value(name, None)
            known = published.get(name) if forced is None else forced
            if known is not None:
                self._preset(section, option, known)
            values[name] = self.buildout[section][option]
            self.set(name, values[name])
        if any(published.get(name) != value for name, value in values.items()):
            connection = check_texts("connection", {"_": as_json({**published, **values})})
            publish_once(self, guid_of(self), connection)

    def install(self) -> list[str]:
        return []

    def _published(self, wanted: list[str]) -> dict[str, Any]:
        """What is published; asked from the master where the node's document, which may be older, lacks a name."""
        known = decoded_connection(instance_of(self).connection)
        if has_document(self) and not all(name in known for name in wanted):
            with client_of(self) as client:
                known = decoded_connection(client.instance(guid=guid_of(self)).connection)
        return known

    def _wanted(self) -> list[tuple[str, str, str]]:
        result = []
        for line in self.lines("-init", ()):
            name, _, target = line.partition(" ")
            section, colon, option = target.strip().partition(":")
            if not (name and section and colon and option):
                raise self.error("-init", f"{line[:100]!r} is not 'name section:option'.", reference="invalid-option")
            result.append((name, section, option))
        return result

    def _preset(self, section: str, option: str, value: Any) -> None:
        buildout = cast("Buildout", self.buildout)
        if section in buildout._data:
            raise self.error(
                "-init",
                f"[{section}] was used before [{self.name}].",
                reference="used-too-early",
                hint=f"Name {self.name} before it in the parts, and refer to ${{{self.name}:…}} instead.",
            )
        if section not in buildout.sections:
            raise self.error("-init", f"the section [{section}] does not exist.", reference="missing-section")
        origin = self.view.origin("-init") or Origin("(published)", 0)
        buildout.sections[section][option] = [Step("=", dumps(value), origin)]
