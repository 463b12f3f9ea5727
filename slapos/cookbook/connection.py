"""The master and the instance that a recipe works for: section ``[slap-connection]``, or options of its own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from slapos.build.recipe import Recipe
from slapos.build.values import as_text
from slapos.model.client import ClientConfig
from slapos.model.errors import MachineError, NotFound
from slapos.model.objects import Instance
from slapos.slap.dialect import Asker, field_client, open_master
from slapos.slap.documents import instance_from_data
from slapos.slap.interface import Master
from slapos.system.files import read_json

SECTION = "slap-connection"
_PATIENCE = 5.0  # seconds of trying again within one processing; the node processes the instance again anyway

# Options of a recipe, first the name of the field's existing recipes, then the one that it shares with the section.
_ALIASES = {
    "server-url": ("url", "server-url"),
    "key-file": ("key", "key-file"),
    "cert-file": ("cert", "cert-file"),
    "computer-id": ("computer", "computer-id"),
    "partition-id": ("partition", "partition-id"),
}

CONNECTION_OPTIONS: dict[str, str] = {
    "server-url": "[slap-connection]",
    "key-file": "[slap-connection]",
    "cert-file": "[slap-connection]",
    "ca-file": "[slap-connection]",
    "computer-id": "[slap-connection]",
    "partition-id": "[slap-connection]",
    "instance-guid": "[slap-connection]",
    "document": "[slap-connection]",
}


def connection_text(recipe: Recipe, option: str, default: str = "") -> str:
    """An option of the recipe, else the one of ``[slap-connection]``, else ``default``."""
    own = _ALIASES.get(option, (option,))
    # ``publish`` publishes its options: there only the section counts.
    names = () if getattr(recipe, "CONNECTION_IN_SECTION_ONLY", False) else own
    for name in names:
        if recipe.text(name, ""):
            return recipe.text(name)
    if _has_section(recipe):
        return as_text(recipe.buildout[SECTION].get(option, "")) or default
    return default


@contextmanager
def client_of(recipe: Recipe) -> Iterator[Master]:
    """A client with the instance's identity; :class:`ProfileError` when nothing names a master."""
    config = _config(recipe)
    asker = Asker(
        node=connection_text(recipe, "computer-id"),
        partition=connection_text(recipe, "partition-id"),
        guid=connection_text(recipe, "instance-guid"),
    )
    client = open_master(config, asker, patience=_PATIENCE)
    try:
        yield client
    finally:
        client.close()


def release_of_product(recipe: Recipe, product: str) -> str:
    """The URL of the best release of a product; ``NotFound`` when the master has none."""
    with contextlib.closing(field_client(_config(recipe))) as client:
        releases = client.read("getSoftwareReleaseListFromSoftwareProduct", software_product_reference=product)
    if not isinstance(releases, list) or not releases or not isinstance(releases[0], str):
        raise NotFound(
            f"The master has no release of the product {product[:100]!r}.",
            reference="unknown-product",
            context={"product": product},
            hint="Name the release by its URL, or have the product added to the master.",
        )
    return releases[0]


def instance_of(recipe: Recipe) -> Instance:
    """The instance of this partition: from the document that the node wrote, else asked from the master."""
    path = connection_text(recipe, "document")
    if not path:
        node, partition = connection_text(recipe, "computer-id"), connection_text(recipe, "partition-id")
        with client_of(recipe) as client:
            return client.instance_of_partition(node, partition)
    data = read_json(path)
    if not isinstance(data, dict):
        raise MachineError(
            f"{path}, in which the node describes the instance, is missing or damaged.",
            reference="instance-document-unreadable",
            context={"path": path},
            hint="Have the node process the instance again.",
        )
    return instance_from_data(data)


def guid_of(recipe: Recipe) -> str:
    """The guid of the instance of this partition."""
    return connection_text(recipe, "instance-guid") or instance_of(recipe).guid


def has_document(recipe: Recipe) -> bool:
    """Whether the node wrote down the instance, so that looking at it costs no call."""
    return bool(connection_text(recipe, "document"))


def decoded_connection(connection: Mapping[str, str]) -> dict[str, Any]:
    """Published values by name: flat ones, and the members of the JSON object under ``_``."""
    values: dict[str, Any] = {key: value for key, value in connection.items() if key != "_"}
    try:
        inner = json.loads(connection.get("_", "null"))
    except ValueError:
        inner = None
    return values | inner if isinstance(inner, dict) else values


def as_json(value: Any) -> str:
    """JSON with sorted keys: the same value is always the same text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def flat(value: Any) -> str:
    """A value as flat text: a text itself, the rest as JSON."""
    return value if isinstance(value, str) else as_json(value)


def _config(recipe: Recipe) -> ClientConfig:
    url = connection_text(recipe, "server-url")
    if not url:
        raise recipe.error(
            "server-url",
            "is missing, and there is no section [slap-connection] that has it.",
            reference="missing-option",
            hint="Run the profile in a partition; the node writes [slap-connection].",
        )
    return ClientConfig(
        master_url=url,
        cert_file=connection_text(recipe, "cert-file"),
        key_file=connection_text(recipe, "key-file"),
        ca_file=connection_text(recipe, "ca-file"),
        dialect=connection_text(recipe, "dialect"),
    )


def _has_section(recipe: Recipe) -> bool:
    return SECTION in recipe.buildout  # type: ignore[operator]
