"""``hyperopenx:password`` (also ``generate.password``): a secret that is made once."""

from __future__ import annotations

import os
import re
import secrets
from typing import Any, ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.places import check_option, make_parents, path_below
from slapos.system.files import read_json, write_json

_KEY = ""  # the member of the storage file that holds the password itself


class Password(Recipe):
    """Gives ``passwd``; kept in ``storage-path`` (JSON, mode 0600) so that it stays the same."""

    OPTIONS: ClassVar[dict[str, str]] = {
        "bytes": "16",
        "storage-path": "parts/<name>",
        "create-once": "true",
        "passwd": "",
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """``passwd`` when it is given; otherwise only running the recipe tells it."""
        if not 1 <= options.integer("bytes", 16) <= 1024:
            raise options.error("bytes", "is between 1 and 1024.", reference="invalid-option")
        outputs: dict[str, Any] = {"storage-path": _storage(name, options)}
        if options.text("passwd", ""):
            outputs["passwd"] = check_option(options, "passwd", options.text("passwd"))
        return Description(outputs=outputs)

    def setup(self) -> None:
        # Stored before anybody can use it: a run cut short after its first use would otherwise make another one.
        path, given = self.text("storage-path"), self.text("passwd", "")
        stored = _stored(path) if path else ""
        password = given or stored or _random(self.integer("bytes", 16))
        if path and password != stored:
            make_parents(path)
            write_json(path, {_KEY: password}, 0o600)
        self.set("passwd", password)

    def install(self) -> list[str]:
        path = self.text("storage-path")
        return [] if not path or self.boolean("create-once", True) else [path]


def _storage(name: str, options: OptionsView) -> str:
    if not options.text("storage-path", "unset"):
        return ""
    # A part's name may have any character; what is made of it here is a file name.
    default = os.path.join(options.parts_directory, re.sub(r"[^A-Za-z0-9._-]", "_", name))
    return path_below(options, "storage-path", default)


def _stored(path: str) -> str:
    data = read_json(path, {})
    password = data.get(_KEY) if isinstance(data, dict) else None
    return password if isinstance(password, str) else ""


def _random(count: int) -> str:
    """Hexadecimal, two characters a byte: safe in any configuration file, URL and shell."""
    return secrets.token_hex(count)
