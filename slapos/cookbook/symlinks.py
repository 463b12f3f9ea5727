"""``hyperopenx:symlinks``: a directory of links to files of other parts, which others then name as one."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator

from slapos.build.recipe import Description, OptionsView
from slapos.cookbook.packaged import PackagedRecipe, places_of


class Symlinks(PackagedRecipe):
    """Gives ``location`` and ``bin-directory``."""

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        if not list(_wanted(options)):
            raise options.error("links", "names no link.", reference="missing-option")
        return Description(places_of(name, options, "bin"))

    def produce(self, work: str) -> None:
        """All links or none: each target is there, each name is used once."""
        tree = os.path.join(work, "links")
        os.makedirs(tree)
        for name, pattern in _wanted(self.view):
            for target in self._targets(pattern):
                inside = os.path.join(name, os.path.basename(target)) if name.endswith("/") or not name else name
                self._link(os.path.join(tree, inside), inside, target)
        self.place.put(tree)

    def _targets(self, pattern: str) -> list[str]:
        """What is there: the path itself, else what a pattern with ``*`` matches, sorted."""
        found = self._matching(pattern)
        missing = next((path for path in found if not os.path.exists(path)), "" if found else pattern)
        if missing:
            raise self.error("links", f"{missing} does not exist.", reference="missing-file")
        return found

    def _matching(self, pattern: str) -> list[str]:
        path = os.path.normpath(os.path.join(self.directory, pattern))
        return [path] if os.path.lexists(path) else sorted(glob.glob(path))

    def _link(self, link: str, inside: str, target: str) -> None:
        try:
            os.makedirs(os.path.dirname(link), exist_ok=True)
            os.symlink(target, link)
        except (FileExistsError, NotADirectoryError):
            raise self.error(
                "links",
                f"{inside!r} is the name of two links, or of a link and a directory; {target} is the second.",
                reference="conflicting-files",
            ) from None

    def fingerprint(self) -> str:
        """A pattern may match other files than before, in a part of the same release."""
        if self.is_stored:
            return ""
        found = "\n".join(path for _, pattern in _wanted(self.view) for path in self._matching(pattern))
        return f"links={hashlib.sha256(os.fsencode(found)).hexdigest()[:16]}"


def _wanted(options: OptionsView) -> Iterator[tuple[str, str]]:
    """(name, target) of each line ``target``, ``name = target`` or ``directory/ = target``; the name may be empty."""
    for line in options.lines("links"):
        before, equals, after = (text.strip() for text in line.partition("="))
        name, target = (before, after) if equals else ("", before)
        if not target or (equals and not name):
            raise options.error(
                "links", f"has lines `target` or `name = target`, not {line[:120]!r}.", reference="invalid-option"
            )
        if name.startswith("/") or {"..", "."} & set(name.split("/")) or "//" in name or "\0" in line:
            raise options.error(
                "links", f"{name[:100]!r} is no plain path below the location.", reference="path-outside"
            )
        yield name, target
