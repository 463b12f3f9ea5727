"""``hyperopenx:mkdirectory``: directories of a partition, made and never removed."""

from __future__ import annotations

import os
from typing import ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.pieces import of_the_field
from slapos.cookbook.places import path_below

_OWN = frozenset({"recipe", "mode"})


class MkDirectory(Recipe):
    """Every option but ``recipe`` and ``mode`` names a directory below that of the profile."""

    OPTIONS: ClassVar[dict[str, str]] = {"mode": "0777"}

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """Each option again, as absolute path; ``mode`` is checked."""
        _mode(options)
        return Description(outputs={option: _path(options, option) for option in _directories(options)})

    def install(self) -> list[str]:
        for option in _directories(self.view):
            # The umask of the run applies, as for any mkdir.
            os.makedirs(self.text(option), mode=_mode(self.view), exist_ok=True)
        return []

    def update(self) -> list[str]:
        """Somebody may have removed one."""
        return self.install()


def _directories(options: OptionsView) -> list[str]:
    names = (option for option in options if option not in _OWN and not option.startswith(("_", "<")))
    return sorted(option for option in names if options.text(option))  # the field leaves some empty


def _path(options: OptionsView, option: str) -> str:
    """Below the directory; profiles of the field name that itself too, as ``home``."""
    given = os.path.normpath(os.path.join(options.directory, options.text(option)))
    is_itself = of_the_field(options) and given == os.path.normpath(options.directory)
    return given if is_itself else path_below(options, option, "")


def _mode(options: OptionsView) -> int:
    try:
        mode = int(options.text("mode", "0777"), 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise options.error("mode", "is an octal number such as 0750.", reference="invalid-option")
    return mode
