"""``hyperopenx:password`` (also ``generate.password``): a secret that is made once."""

from __future__ import annotations

import os
import re
import secrets
import string
from typing import Any, ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.build.values import Value
from slapos.cookbook.password_hashes import SCHEMES
from slapos.cookbook.pieces import of_the_field
from slapos.cookbook.places import check_option, make_parents, path_below
from slapos.system.files import read_json, write_json

_KEY = ""  # the member of the storage file that holds the password itself
_HASH = "passwd-"
_ALPHABET = string.ascii_letters + string.digits


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
        self.kept = _stored(path) if path else {}
        password = given or self.kept.get(_KEY) or self._random()
        if password != self.kept.get(_KEY):
            self._store({_KEY: password})
        self.set("passwd", password)

    def late_option(self, option: str) -> Value:
        """``passwd-<scheme>``: a hash of the password, kept so that it stays the same."""
        scheme = option.removeprefix(_HASH)
        if not option.startswith(_HASH):
            return None
        if scheme not in SCHEMES:
            raise self.error(
                option,
                f"there is no scheme {scheme[:40]!r}.",
                reference="unknown-scheme",
                hint=f"Known schemes: {', '.join(SCHEMES)}.",
            )
        if option not in self.kept:
            self._store({**self.kept, option: SCHEMES[scheme](self.text("passwd"))})
        return self.kept[option]

    def _store(self, values: dict[str, str]) -> None:
        self.kept = values
        path = self.text("storage-path")
        if path:
            make_parents(path)
            write_json(path, values, 0o600)

    def _random(self) -> str:
        """Letters and digits only: safe in any configuration file, URL and shell."""
        count = self.integer("bytes", 16)
        if of_the_field(self.view):  # there it is the number of characters
            return "".join(secrets.choice(_ALPHABET) for _ in range(count))
        return secrets.token_hex(count)

    def install(self) -> list[str]:
        path = self.text("storage-path")
        return [] if not path or self.boolean("create-once", True) else [path]


def _storage(name: str, options: OptionsView) -> str:
    if not options.text("storage-path", "unset"):
        return ""
    # A part's name may have any character; what is made of it here is a file name.
    default = os.path.join(options.parts_directory, re.sub(r"[^A-Za-z0-9._-]", "_", name))
    return path_below(options, "storage-path", default)


def _stored(path: str) -> dict[str, str]:
    """The password under ``""`` and its hashes; old files of the field hold the password alone."""
    data = read_json(path)
    if isinstance(data, dict):
        known = {key: value for key, value in data.items() if isinstance(value, str)}
        return known if _KEY in known else {}
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8", errors="replace") as stream:
        text = stream.read().strip("\n")
    is_damaged = not text or text[0] in "{[" or "\0" in text
    return {} if is_damaged else {_KEY: text}
