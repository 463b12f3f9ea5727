"""``hyperopenx:download``: a file from the network, unpacked when asked, right by sha256."""

from __future__ import annotations

import os
import re
import shutil
from typing import cast

from slapos.build.fetch.caches import source_caches
from slapos.build.fetch.sources import Fetcher
from slapos.build.place import Place
from slapos.build.recipe import Description, OptionsView, Profile, Recipe, Source
from slapos.build.unpack import unpack
from slapos.build.values import Value

_DIGEST = re.compile("[0-9a-f]{64}")


def source_of(options: OptionsView) -> Source:
    """The options ``url``, ``sha256`` (one a line), ``mirrors`` (one a line, ``debian:<source>`` too), ``filename``."""
    digests = tuple(digest.lower() for digest in options.lines("sha256"))
    if not digests or not all(map(_DIGEST.fullmatch, digests)):
        raise options.error("sha256", "has one digest of 64 hexadecimal digits a line.", reference="invalid-option")
    return Source(
        url=options.text("url").strip(),
        sha256=digests,
        mirrors=tuple(options.lines("mirrors", ())),
        filename=options.text("filename", ""),
    )


def fetcher_of(buildout: Profile, directory: str) -> Fetcher:
    """What fetches for the parts of this profile: ``[buildout] download-cache``, by default a directory of its own."""
    main = buildout["buildout"]
    cache = str(main.get("download-cache") or os.path.join(directory, ".download-cache"))
    return Fetcher(cache=cache, offline=main.get("offline") in (True, "true"), caches=source_caches(main))


def strip_option(options: OptionsView) -> bool | None:
    """``strip-top-level-dir``: None when it is not given."""
    return options.boolean("strip-top-level-dir") if options.text("strip-top-level-dir", "") else None


class Download(Recipe):
    """Gives ``location`` (a directory) and ``target`` (the file in it, or the directory itself when unpacked)."""

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        location = options.text("destination", "") or options.text("location", f"{options.parts_directory}/{name}")
        location = os.path.normpath(os.path.join(options.directory, location))
        outputs: dict[str, Value] = {"location": location, "target": location}
        if not options.boolean("unpack", False):
            outputs["target"] = os.path.join(location, cls._filename(name, options))
        return Description(outputs, (source_of(options),))

    @classmethod
    def _filename(cls, name: str, options: OptionsView) -> str:
        filename = options.text("filename", name)
        if filename in ("", ".", "..") or "/" in filename or "\0" in filename:
            raise options.error("filename", f"names a file, not {filename!r}.", reference="invalid-option")
        return filename

    def install(self) -> list[str]:
        self.stage("fetch")
        fetcher = fetcher_of(self.buildout, self.directory)
        fetched = fetcher.fetch(self.description.sources[0])
        place = Place(cast("str", self.options["location"]))
        with place.renewed() as work:
            tree = os.path.join(work, "tree")
            if self.boolean("unpack", False):
                unpack(fetched, tree, strip=strip_option(self.view))
            else:
                os.makedirs(tree)
                target = os.path.join(tree, os.path.basename(cast("str", self.options["target"])))
                shutil.copyfile(fetched, target)
                os.chmod(target, self.view.mode("mode", 0o644))
            place.put(tree)
        return [place.location]
