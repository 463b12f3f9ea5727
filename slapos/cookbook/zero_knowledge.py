"""``zero-knowledge.write`` and ``.read`` of the field: an INI file that a person may edit and a profile reads back."""

from __future__ import annotations

import configparser
import io
import os
from typing import ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.build.values import as_text
from slapos.cookbook.places import make_parents, path_below
from slapos.model.errors import InputError
from slapos.system.files import write_if_changed

_OWN = frozenset({"recipe", "filename", "file-path"})


class _Document(Recipe):
    """The file is ``filename`` in the directory of the profile, or ``file-path``."""

    OPTIONS: ClassVar[dict[str, str]] = {"filename": "", "file-path": ""}

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """Only checks where the file is."""
        cls.path_of(options)
        return Description()

    @staticmethod
    def path_of(options: OptionsView) -> str:
        """Absolute, below the directory of the profile."""
        option = "filename" if options.text("filename", "").strip() else "file-path"
        return path_below(options, option, "")

    def read(self) -> configparser.ConfigParser:
        """What is in the file; ``InputError`` ``damaged-file`` when it is no INI."""
        document = configparser.ConfigParser(interpolation=None)
        path = self.path_of(self.view)
        try:
            document.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            raise InputError(
                f"{path} cannot be read: {error}.",
                reference="damaged-file",
                context={"path": path},
                hint="Mend it, or remove it: it is written again.",
            ) from None
        return document


class Write(_Document):
    """A section named like the part; options that are missing are added, those that are there stay."""

    OPTIONS: ClassVar[dict[str, str]] = {**_Document.OPTIONS, "<name>": ""}

    def install(self) -> list[str]:
        document = self.read()
        if not document.has_section(self.name):
            document.add_section(self.name)
        for option in sorted(self.view):
            if option not in _OWN and not option.startswith(("_", "<")) and not document.has_option(self.name, option):
                document.set(self.name, option, as_text(self.value(option)))
        text = io.StringIO()
        document.write(text)
        path = self.path_of(self.view)
        make_parents(path)
        mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o600
        write_if_changed(path, text.getvalue(), mode)
        return []  # a person's file: it stays when the part goes

    update = install


class Read(_Document):
    """Every option of every section of the file; what the profile says is the default."""

    OPTIONS: ClassVar[dict[str, str]] = {**_Document.OPTIONS, "<name>": ""}

    def setup(self) -> None:
        document = self.read()
        for section in document.sections():
            for option, value in document.items(section):
                if option not in _OWN:
                    self.set(option, value)

    def install(self) -> list[str]:
        return []
