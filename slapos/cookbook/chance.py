"""``random.integer``, ``random.time`` and ``generate.mac`` of the field: chosen once, then kept."""

from __future__ import annotations

import os
import re
import secrets
from typing import ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.places import make_parents, path_below
from slapos.system.files import atomic_write

_MAC = re.compile("(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")


class _Choice(Recipe):
    """An option that is what the profile says, else what was chosen before, else something new."""

    output: ClassVar[str] = ""

    def setup(self) -> None:
        if not self.text(self.output, ""):
            self.set(self.output, self.previous.get(self.output) or self.choose())

    def choose(self) -> str:
        """A new value."""
        raise NotImplementedError

    def install(self) -> list[str]:
        return []


class RandomInteger(_Choice):
    """``value``: between ``minimum`` and ``maximum``, both included."""

    output = "value"
    OPTIONS: ClassVar[dict[str, str]] = {"minimum": "mandatory", "maximum": "mandatory", "value": ""}

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """Only checks."""
        if "value" not in options and options.integer("minimum") > options.integer("maximum"):
            raise options.error("minimum", "is greater than maximum.", reference="invalid-option")
        return Description()

    def choose(self) -> str:
        low, high = self.integer("minimum"), self.integer("maximum")
        return str(low + secrets.randbelow(high - low + 1))


class RandomTime(_Choice):
    """``time``: of the day, ``H:MM``."""

    output = "time"
    OPTIONS: ClassVar[dict[str, str]] = {"time": ""}

    def choose(self) -> str:
        return f"{secrets.randbelow(24)}:{secrets.randbelow(60):02}"


class Mac(Recipe):
    """``mac-address``: a locally administered one, kept in ``storage-path``."""

    OPTIONS: ClassVar[dict[str, str]] = {"storage-path": "mandatory", "mac-address": ""}

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """``storage-path``, absolute."""
        given = options.text("mac-address", "").strip()
        if given and not _MAC.fullmatch(given):
            raise options.error("mac-address", f"{given[:40]!r} is no MAC address.", reference="invalid-option")
        return Description(outputs={"storage-path": path_below(options, "storage-path", "")})

    def setup(self) -> None:
        address = self.text("mac-address", "").strip() or _stored(self.text("storage-path"))
        self.set("mac-address", address or ":".join(f"{octet:02x}" for octet in b"\xfe" + secrets.token_bytes(5)))

    def install(self) -> list[str]:
        path = self.text("storage-path")
        make_parents(path)
        if _stored(path) != self.text("mac-address"):
            atomic_write(path, self.text("mac-address"), 0o644)
        return [path]


def _stored(path: str) -> str:
    if not os.path.exists(path):
        return ""
    with open(path, encoding="ascii", errors="replace") as stream:
        text = stream.read().strip()
    return text if _MAC.fullmatch(text) else ""
