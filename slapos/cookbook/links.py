"""``hyperopenx:symbolic.link`` and ``copyfilelist``: files of a release under the names of a partition."""

from __future__ import annotations

import os
from typing import ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.places import path_below
from slapos.model.errors import Conflict, NotFound
from slapos.system.files import atomic_write


class SymbolicLink(Recipe):
    """A link in ``target-directory`` to each path of ``link-binary``, named as that."""

    OPTIONS: ClassVar[dict[str, str]] = {"target-directory": "mandatory", "link-binary": "mandatory"}

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """``target-directory``, absolute."""
        return Description(outputs={"target-directory": path_below(options, "target-directory", "")})

    def install(self) -> list[str]:
        made = []
        for target in self.names("link-binary"):
            link = _named_as(self, "link-binary", target)
            if os.path.lexists(link) and not os.path.islink(link):
                raise Conflict(
                    f"{link} exists and is no link.",
                    reference="not-a-link",
                    context={"path": link, "target": target},
                    hint="Remove it, or have the link made elsewhere.",
                )
            if not os.path.islink(link) or os.readlink(link) != target:
                os.makedirs(os.path.dirname(link), exist_ok=True)
                temporary = f"{link}.new"
                if os.path.lexists(temporary):
                    os.unlink(temporary)
                os.symlink(target, temporary)
                os.replace(temporary, link)
            made.append(link)
        return made

    update = install


class CopyFileList(Recipe):
    """A copy in ``target-directory`` of each file of ``file-list``, named as that."""

    OPTIONS: ClassVar[dict[str, str]] = {"target-directory": "mandatory", "file-list": "mandatory"}

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """``target-directory``, absolute."""
        return Description(outputs={"target-directory": path_below(options, "target-directory", "")})

    def install(self) -> list[str]:
        made = []
        for source in self.names("file-list"):
            path = _named_as(self, "file-list", source)
            origin = os.path.join(self.directory, source)
            if not os.path.isfile(origin):
                raise NotFound(f"{origin} is no file.", reference="missing-file", context={"path": origin})
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(origin, "rb") as stream:
                atomic_write(path, stream.read(), os.stat(origin).st_mode & 0o777)
            made.append(path)
        return made


def _named_as(recipe: Recipe, option: str, path: str) -> str:
    name = os.path.basename(path)
    if name in ("", ".", "..") or "\0" in path:
        raise recipe.error(option, f"{path[:100]!r} names no file.", reference="invalid-name")
    return os.path.join(recipe.text("target-directory"), name)
