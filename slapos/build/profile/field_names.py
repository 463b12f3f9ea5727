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
    "check_page_content",
    "check_port_listening",
    "check_url_available",
    "copyfilelist",
    "cron",
    "cron.d",
    "free_port",
    "generate.mac",
    "generate.password",
    "jsondump",
    "logrotate",
    "logrotate.d",
    "mkdirectory",
    "promise.plugin",
    "publish",
    "publish-early",
    "publish.serialised",
    "publish.serialised_failsafe",
    "publish_failsafe",
    "publishurl",
    "random.integer",
    "random.time",
    "readline",
    "request",
    "request.edge",
    "request.serialised",
    "requestoptional",
    "requestoptional.serialised",
    "shell",
    "simplelogger",
    "slapconfiguration",
    "slapconfiguration.jsondump",
    "slapconfiguration.jsonschema",
    "slapconfiguration.serialised",
    "switch-softwaretype",
    "symbolic.link",
    "urlparse",
    "userinfo",
    "uuid",
    "wrapper",
    "zero-knowledge.read",
    "zero-knowledge.write",
)

FIELD_RECIPES: Mapping[str, str] = {
    **{f"slapos-cookbook:{name}": name for name in _COOKBOOK},
    "collective-recipe-template:default": "field.template",
    "plone-recipe-command:default": "field.command",
    "slapos-recipe-build:default": "field.script",
    "slapos-recipe-build:download": "field.download",
    "slapos-recipe-build:download-unpacked": "field.download-unpacked",
    "slapos-recipe-build:gitclone": "gitclone",
    "slapos-recipe-build:mkdirectory": "mkdirectory",
    "slapos-recipe-cmmi:default": "field.cmmi",
    "slapos-recipe-template:default": "template",
    "slapos-recipe-template:jinja2": "template.jinja2",
}


def own_entry(name: str) -> str | None:
    """The entry of ours that serves the recipe ``<distribution>:<entry>`` of the field; None when there is none."""
    distribution, _, entry = name.partition(":")
    return FIELD_RECIPES.get(f"{re.sub(r'[-_.]+', '-', distribution).lower()}:{entry}")
