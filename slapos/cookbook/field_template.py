"""``collective.recipe.template`` of the field: ``${section:option}`` in a file, as ``hyperopenx:field.template``."""

from __future__ import annotations

import os
import re
import stat
from typing import ClassVar

from slapos.build.locations import path_of
from slapos.cookbook.template import Template

_INLINE = "inline:"
_OWN = re.compile(r"\$\{([^:{}]+)\}")


class FieldTemplate(Template):
    """``input`` (a path, or a text after ``inline:``), ``inline`` or ``url``; ``${option}`` is one of the section."""

    OPTIONS: ClassVar[dict[str, str]] = {
        "output": "mandatory",
        "input": "",
        "inline": "",
        "url": "",
        "mode": "that of the input",
        "overwrite": "true",
        "input-encoding": "utf-8",
        "output-encoding": "utf-8",
        "timeout": "",
    }

    def template(self) -> tuple[str, str]:
        """The text, and the name that errors show."""
        given = [option for option in ("input", "inline", "url") if option in self.view]
        if len(given) != 1:
            raise self.error("input", "or inline or url, exactly one, is the template.", reference="invalid-option")
        text, name = self._found(given[0])
        return _OWN.sub(r"${:\1}", text), name

    def install(self) -> list[str]:
        overwrites = self.boolean("overwrite", True)
        paths = self.write(self.rendered) if overwrites or not os.path.exists(self.output) else []
        return paths if overwrites else []

    update = install

    def _found(self, option: str) -> tuple[str, str]:
        name = f"[{self.name}] {option}"
        self.inlined = None
        if option == "inline":
            return (self.text(option) if self.section.is_data(option) else self.section.raw(option)).lstrip(), name
        raw = "" if self.section.is_data(option) else self.section.raw(option).strip()
        if raw.startswith(_INLINE):
            return raw.removeprefix(_INLINE).lstrip(), name
        place = self.text(option).strip()
        return self._read(option, os.path.join(self.directory, place) if option == "input" else place), place

    def _is_script(self, text: str) -> bool:
        return False

    def _mode(self, text: str) -> int:
        if "mode" not in self.view and "input" in self.view:
            place = path_of(os.path.join(self.directory, self.text("input").strip()))
            if os.path.isfile(place):
                return stat.S_IMODE(os.stat(place).st_mode)
        return super()._mode(text)
