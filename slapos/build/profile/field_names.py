"""Recipes of the field, by name, and the recipes of ours that serve them.

The one table: a profile of the field that says ``recipe = slapos.cookbook:wrapper`` gets ``hyperopenx:wrapper``.  A
recipe of ours whose name begins with ``field.`` keeps options or outputs that our own one has otherwise.  Names that
are not here belong to :class:`slapos.build.profile.names.RecipeTable.foreign`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# Entries of slapos.cookbook that are ours under the same name.
_COOKBOOK = (
    "cron",
    "cron.d",
    "free_port",
    "generate.password",
    "logrotate",
    "logrotate.d",
    "mkdirectory",
    "promise.plugin",
    "publish",
    "publish-early",
    "publish.serialised",
    "request",
    "request.serialised",
    "requestoptional",
    "requestoptional.serialised",
    "slapconfiguration",
    "slapconfiguration.jsonschema",
    "slapconfiguration.serialised",
    "switch-softwaretype",
    "wrapper",
)

FIELD_RECIPES: Mapping[str, str] = {
    **{f"slapos-cookbook:{name}": name for name in _COOKBOOK},
    "slapos-recipe-build:mkdirectory": "mkdirectory",
    "slapos-recipe-template:default": "template",
    "slapos-recipe-template:jinja2": "template.jinja2",
}


def own_entry(name: str) -> str | None:
    """The entry of ours that serves the recipe ``<distribution>:<entry>`` of the field; None when there is none."""
    distribution, _, entry = name.partition(":")
    return FIELD_RECIPES.get(f"{re.sub(r'[-_.]+', '-', distribution).lower()}:{entry}")
