"""Telling the master what an instance publishes, and not telling it twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping

from slapos.build.recipe import Recipe
from slapos.cookbook.connection import client_of, has_document, instance_of
from slapos.cookbook.places import make_parents
from slapos.system.files import read_json, write_json

_LIMIT = 10_000  # guids remembered; a host of shared instances publishes for each of them


def publish_once(recipe: Recipe, guid: str, connection: Mapping[str, str]) -> None:
    """Publish unless the master surely has exactly this.

    Surely: the node's document says so, and it is what we sent last.  The document alone may be older than that.
    """
    path = os.path.join(recipe.directory, ".hyperopenx", "published.json")
    stored = read_json(path, {})
    sent: dict[str, str] = stored if isinstance(stored, dict) and len(stored) < _LIMIT else {}
    digest = hashlib.sha256(json.dumps(dict(connection), sort_keys=True).encode()).hexdigest()
    if sent.get(guid) == digest and _documented(recipe, guid) == dict(connection):
        return
    with client_of(recipe) as client:
        client.publish(guid, connection)
    if sent.get(guid) != digest:
        make_parents(path)
        write_json(path, {**sent, guid: digest}, 0o600)


def _documented(recipe: Recipe, guid: str) -> Mapping[str, str] | None:
    if not has_document(recipe):
        return None
    instance = instance_of(recipe)
    if guid == instance.guid:
        return dict(instance.connection)
    return next((dict(item.connection) for item in instance.shared_instances if item.guid == guid), None)
