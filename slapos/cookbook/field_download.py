"""``slapos.recipe.build:download`` and ``:download-unpacked`` of the field, as ``hyperopenx:field.download…``."""

from __future__ import annotations

import os
import shutil
from typing import ClassVar

from slapos.build.place import Place
from slapos.build.recipe import Description, OptionsView
from slapos.build.unpack import unpack
from slapos.cookbook.download import strip_option
from slapos.cookbook.field_sources import described, fetch, field_source
from slapos.cookbook.shared_part import SharedRecipe

_ANYWHERE = {"url": "mandatory", "md5sum": "", "alternate-url": "", "offline": "the run's", "shared": "false"}


class Download(SharedRecipe):
    """One file; gives ``target`` and, unless ``destination`` names the file, ``location``."""

    OPTIONS: ClassVar[dict[str, str]] = {**_ANYWHERE, "filename": "the part's name", "destination": ""}

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """The source; where the file lies is decided when the recipe runs."""
        if "mode" in options:
            raise options.error("mode", "is not an option of this recipe.", reference="unsupported-option")
        return Description(sources=(described(field_source(options)),))

    def setup(self) -> None:
        if not self.text("md5sum", "").strip():
            self.refuse_shared("md5sum", "is mandatory for a shared part.")
        if self.text("destination", "").strip():
            self.place("destination")
            target = self.site.location
        else:
            self.locate()
            # Values with a folder are met in the field: only the last component counts.
            filename = os.path.basename(self.text("filename", "").strip().rstrip("/")) or self.name
            target = os.path.join(self.site.location, filename)
        self.set("target", target)

    def produce(self, work: str) -> None:
        """Copy the fetched file to ``target``."""
        self.stage("fetch")
        fetched = fetch(self, field_source(self.view))
        target = self.text("target")
        if target != self.site.location:
            os.makedirs(self.site.location)
        shutil.copyfile(fetched, target)

    def update(self) -> list[str]:
        """Without a digest the file may have changed."""
        return super().update() if self.text("md5sum", "").strip() else self.install()


class DownloadUnpacked(SharedRecipe):
    """An unpacked archive; gives ``location`` and ``target``, the same directory."""

    OPTIONS: ClassVar[dict[str, str]] = {
        **_ANYWHERE,
        "strip-top-level-dir": "when there is one alone",
        "destination": "",
        "environment": "",
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """The source; where the tree lies is decided when the recipe runs."""
        return Description(sources=(described(field_source(options)),))

    def setup(self) -> None:
        if self.text("destination", "").strip():
            self.place("destination")
            self.set("location", self.site.location)
        else:
            self.locate()
        self.set("target", self.site.location)

    def produce(self, work: str) -> None:
        """Unpack beside, and move into place as a whole."""
        self.stage("fetch")
        fetched = fetch(self, field_source(self.view))
        tree = os.path.join(work, "tree")
        unpack(fetched, tree, strip=strip_option(self.view))
        Place(self.site.location).put(tree)
