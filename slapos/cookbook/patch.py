"""``hyperopenx:patch``: what another part gives, or a pinned source, with patches applied; the original stays."""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import cast

from slapos.build.fetch.transfer import digest_of
from slapos.build.profile.buildout import Buildout
from slapos.build.recipe import Description, Ingredients, OptionsView, Profile
from slapos.build.store.content import RECORD, content_digest, walk
from slapos.build.unpack import apply_patches, unpack
from slapos.cookbook.beside import patch_bytes, patch_digests, patches_of, readable
from slapos.cookbook.download import fetcher_of, source_of, strip_option
from slapos.cookbook.packaged import PackagedRecipe, location_of
from slapos.model.errors import HyperopenxError

_ALTERNATIVES = ("source", "url")


class Patch(PackagedRecipe):
    """Gives ``location``: the patched tree, or a directory with the one patched file."""

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        given = [option for option in _ALTERNATIVES if options.text(option, "").strip()]
        if len(given) != 1:
            raise options.error(
                "source",
                "or `url` names what is patched: one of the two, not both.",
                reference="invalid-option" if given else "missing-option",
            )
        if not patches_of(options):
            raise options.error("patches", "names no patch.", reference="missing-option")
        sources = (source_of(options),) if given == ["url"] else ()
        return Description({"location": location_of(name, options)}, sources)

    @classmethod
    def ingredients(cls, name: str, options: OptionsView, profile: Profile) -> Ingredients:
        try:
            return Ingredients(tuple(patch_digests(options, cast("Buildout", profile))))
        except HyperopenxError as error:
            return Ingredients(private=f"a patch of it cannot be read: {error}")

    def produce(self, work: str) -> None:
        """Copy or unpack, then patch the copy."""
        tree = os.path.join(work, "patched")
        self.stage("fetch")
        self._bring(tree)
        self.stage("patch")
        patches = ((patch.place, patch_bytes(self, patch)) for patch in patches_of(self.view))
        apply_patches(tree, patches, self.words("patch-options", ["-p0"]), self.text("patch-binary", "patch"))
        self.place.put(tree)

    def _bring(self, tree: str) -> None:
        if not self.description.sources:
            self._copy(self._source(), tree)
            return
        source = self.description.sources[0]
        fetched = fetcher_of(self.buildout, self.directory).fetch(source)
        if self.boolean("unpack", True):
            unpack(fetched, tree, strip=strip_option(self.view))
        else:
            self._copy(fetched, tree, os.path.basename(source.filename or source.url))

    def _source(self) -> str:
        return os.path.normpath(os.path.join(self.directory, self.text("source").strip()))

    def _copy(self, source: str, tree: str, name: str = "") -> None:
        """A copy that may be written, of which no link leads back into the original."""
        if os.path.isdir(source):
            shutil.copytree(source, tree, symlinks=True, ignore=_without_records)
            _own(source, tree)
        elif os.path.isfile(source):
            os.makedirs(tree)
            copy = os.path.join(tree, name or os.path.basename(source))
            shutil.copy(source, copy)
            os.chmod(copy, os.stat(copy).st_mode | 0o200)
        else:
            raise self.error("source", f"{source} is neither a file nor a directory.", reference="missing-file")

    def fingerprint(self) -> str:
        """Patches, and what a part of the same release gives, may change while their names stay."""
        digests = [hashlib.sha256(data).hexdigest() for data in readable(self, patches_of(self.view))]
        if not self.description.sources and not self.is_stored:
            digests.append(_content(self._source()))
        return f"patched={hashlib.sha256(' '.join(digests).encode()).hexdigest()[:16]}"


def _without_records(directory: str, names: list[str]) -> list[str]:
    """What a store writes into a part is not of the part."""
    return [name for name in names if name == RECORD]


def _own(source: str, tree: str) -> None:
    """All may be written; absolute links into the original lead to the same place of the copy."""
    os.chmod(tree, os.stat(tree).st_mode | 0o700)
    for path, facts in walk(tree):
        if not os.path.islink(path):
            os.chmod(path, facts.st_mode | (0o700 if os.path.isdir(path) else 0o200))
            continue
        target = os.readlink(path)
        if target == source or target.startswith(f"{source}/"):
            os.unlink(path)
            os.symlink(os.path.relpath(tree + target.removeprefix(source), os.path.dirname(path)), path)


def _content(path: str) -> str:
    """Digest of a file or tree; empty while there is none."""
    if os.path.isdir(path):
        return content_digest(path)
    return digest_of(path) if os.path.isfile(path) else ""
