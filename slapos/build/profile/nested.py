"""A profile that runs inside a part of another one, in the same directory (``switch-softwaretype``)."""

from __future__ import annotations

from collections.abc import Mapping

from slapos.build.profile.buildout import Buildout
from slapos.build.profile.install import install
from slapos.build.profile.names import NOTHING
from slapos.build.values import Value
from slapos.model.errors import NotReady

_SHARED = (
    "directory",
    "bin-directory",
    "parts-directory",
    "eggs-directory",
    "develop-eggs-directory",
    "download-cache",
    "extends-cache",
    "shared-part-list",
    "build-time-part-list",
    "find-links",
    "index",
    "offline",
    "log-level",
)


def run_nested(
    parent: Buildout, part: str, profile: str, sections: Mapping[str, Mapping[str, Value]] | None = None
) -> None:
    """Run ``profile`` (path or URL); its state is ``.installed-<part>.cfg``, so another profile of the same part
    replaces this one, with the files of the old removed when the new is whole.

    ``sections`` are given values (data), which win over the profile's.  A section that gives ``recipe = None`` keeps
    its options and does nothing.  Raises ``NotReady`` when parts of it wait, or the error of the first failure.
    """
    given: dict[str, dict[str, Value]] = {name: dict(values) for name, values in (sections or {}).items()}
    for values in given.values():
        if "recipe" in values and values["recipe"] is None:
            values["recipe"] = NOTHING
    main = parent["buildout"]
    shared: dict[str, Value] = {option: main[option] for option in _SHARED if option in main}
    given["buildout"] = {**shared, "installed": f".installed-{part}.cfg", **given.get("buildout", {})}
    nested = Buildout(
        profile=profile, directory=parent._buildout_dir, read=parent.read, overrides=given, recipes=parent.recipes
    )
    nested.observe = parent.observe
    report = install(nested)
    parent.loaded.profiles += nested.loaded.profiles
    parent.nested_results += report.parts
    if report.outcome == "waiting":
        raise NotReady(report.sentence, context={"part": part})
    if report.outcome == "failed" and report.first_error is not None:
        raise report.first_error
