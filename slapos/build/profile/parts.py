"""The parts that ``[buildout] parts`` names."""

from __future__ import annotations

from slapos.build.options import profile_error
from slapos.build.profile.buildout import Buildout
from slapos.build.profile.section import Options
from slapos.model.errors import HyperopenxError


def listed_part(buildout: Buildout, part: str) -> Options:
    """The section of a listed part, evaluated; :class:`ProfileError` with the place of ``parts`` when it is none."""
    if part not in buildout:
        raise _wrong(buildout, "missing-section", f"names the part [{part}], which does not exist.")
    section = buildout[part]
    if not section.get("recipe"):
        raise _wrong(buildout, "missing-option", f"names the part [{part}], which has no recipe.")
    return section


def _wrong(buildout: Buildout, reference: str, sentence: str) -> HyperopenxError:
    origin = buildout["buildout"].origin("parts")
    return profile_error(sentence, section="buildout", option="parts", origin=origin, reference=reference)
