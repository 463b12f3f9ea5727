"""How a command finds the master and the node that it speaks about."""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING

import click

from slapos.cli.site.layout import CATALOGUE_VARIABLE, Layout, release_path, site_layout
from slapos.model.errors import InputError, NotFound
from slapos.slap.config import state_directory

if TYPE_CHECKING:
    from slapos.model.client import ClientConfig
    from slapos.node.config import NodeConfig
    from slapos.slap.client import Client
    from slapos.slap.interface import Person

PRODUCT = "product."
FIELD_NODE_CONFIG = "/etc/opt/slapos/slapos.cfg"


def given_cfg() -> str | None:
    """The ``--cfg`` of this command line."""
    context = click.get_current_context(silent=True)
    found = context.find_root().meta.get("slapos.cfg") if context is not None else None
    return str(found) if found else None


def open_client(cfg: str | None = None) -> Person:
    """A client with the identity of the person: ``--cfg``, the environment, this machine's site, the home directory."""
    from slapos.slap.config import load_client_config

    config = load_client_config(cfg or given_cfg())
    if not config.foreign:
        return _open_own(config)
    from slapos.slap.dialect import open_foreign_person

    return open_foreign_person(config)


def master_checks(cfg: str | None = None) -> bool:
    """Whether the master compares orders with the schema of their release: those of the field do not."""
    from slapos.slap.config import load_client_config

    return not load_client_config(cfg or given_cfg()).foreign


def open_own_client(cfg: str | None = None) -> Client:
    """For what only our own masters have; :class:`InputError` ``not-in-dialect`` for another one."""
    from slapos.slap.config import load_client_config

    config = load_client_config(cfg or given_cfg())
    if config.foreign:
        raise InputError(
            f"The master {config.master_url} speaks the slap protocol only, which does not have this.",
            reference="not-in-dialect",
            context={"configuration": config.path, "address": config.master_url},
            hint="Use the tools of that master, or another configuration with --cfg.",
        )
    return _open_own(config)


def _open_own(config: ClientConfig) -> Client:
    from slapos.cli.identity import renew_if_due
    from slapos.cli.patient import PatientClient

    renew_if_due(config)
    made: Client = PatientClient.from_config(config)
    return made


def naming(reference: str) -> dict[str, str]:
    """How the client is told which instance: by guid (``SOFTINST-<n>``), else by the title of a root."""
    return {"guid": reference} if reference.startswith("SOFTINST-") else {"title": reference}


def node_config_path() -> str:
    """``--cfg``, ``$SLAPOS_CONFIGURATION``, the one node of this machine's state, the path of existing tools.

    :raises NotFound: ``no-node-configuration`` when there is none; :class:`InputError` ``which-node`` when several.
    """
    if path := given_cfg() or os.environ.get("SLAPOS_CONFIGURATION"):
        return path
    found = sorted(glob.glob(os.path.join(glob.escape(state_directory()), "node", "*", "slapos.cfg")))
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"This machine has {len(found)} nodes.",
            reference="which-node",
            context={"configurations": found},
            hint="Choose one with --cfg.",
        )
    if os.path.exists(FIELD_NODE_CONFIG):
        return FIELD_NODE_CONFIG
    raise NotFound(
        "There is no node on this machine.",
        reference="no-node-configuration",
        context={"looked in": [os.path.join(state_directory(), "node"), FIELD_NODE_CONFIG]},
        hint="Make one with 'slapos node register', or with 'slapos up'.",
    )


def open_node_config() -> NodeConfig:
    from slapos.node.config import load_config

    return load_config(node_config_path())


def release_url(text: str) -> str:
    """What a person calls a release, as its URL: a URL, a path, the name of a release of the catalogue, or
    ``product.<name>`` for the best release of a product of the master."""
    if "://" in text or os.path.isabs(text):
        return text
    layout = site_layout()
    name = text.removeprefix(PRODUCT)
    if "/" not in name and not name.endswith(".cfg") and os.path.exists(release_path(layout.catalogue, name)):
        return release_path(layout.catalogue, name)
    if os.path.isfile(text):
        return os.path.abspath(text)
    if text.startswith(PRODUCT):
        return product_release(name)
    raise InputError(
        f"{text!r} is no URL, no file, and no release of the catalogue.",
        reference="unknown-release",
        context={"release": text, "catalogue": layout.catalogue, "releases": catalogue_releases(layout)},
        hint=f"Name one of the releases, give a URL or a path, or set {CATALOGUE_VARIABLE}.",
    )


def product_release(product: str) -> str:
    """The URL of the best release of a product; :class:`NotFound` ``unknown-product`` when the master has none."""
    from slapos.slap.config import load_client_config
    from slapos.slap.dialect import field_client

    client = field_client(load_client_config(given_cfg()))
    try:
        releases = client.read("getSoftwareReleaseListFromSoftwareProduct", software_product_reference=product)
    finally:
        client.close()
    if not isinstance(releases, list) or not releases or not isinstance(releases[0], str):
        raise NotFound(
            f"Neither the catalogue nor the master has a release of the product {product[:100]!r}.",
            reference="unknown-product",
            context={"product": product},
            hint="Name the release by its URL.",
        )
    return releases[0]


def catalogue_releases(layout: Layout) -> list[str]:
    """Names of the releases of the catalogue."""
    pattern = os.path.join(glob.escape(layout.catalogue), "software", "*", "software.cfg")
    return sorted(os.path.basename(os.path.dirname(path)) for path in glob.glob(pattern))
