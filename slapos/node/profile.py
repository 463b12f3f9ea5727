"""What the node writes into a partition before buildout runs: the order as a document, and the profile.

The profile is the release's ``instance.cfg`` followed by a tail (``spec/05`` §3.2).  Whatever the master says is in
the document, which recipes read as data; the values of the tail (paths, identifiers, the release's URL) are written
by ``dumps``, so that buildout evaluates none of them.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slapos.build.own_buildout import brought_buildout
from slapos.build.release import release_directory
from slapos.build.values import dumps
from slapos.model.client import SLAP
from slapos.model.errors import InputError, MachineError
from slapos.model.objects import Instance
from slapos.node import layout
from slapos.node.config import NodeConfig
from slapos.node.remembering import while_it_lives
from slapos.slap.documents import instance_from_data, instance_to_data
from slapos.system.below import read_below

_REMEMBERED = 1024  # documents; one per partition is enough
_TEMPLATES = ("instance.cfg", "template.cfg")
_OWN = ("reported_state", "health", "sentence", "reasons", "promises", "error", "connection", "orphan", "generation")


@dataclass(frozen=True)
class Files:
    """Contents to be found in a partition."""

    document: bytes
    profile: bytes

    @property
    def digest(self) -> str:
        """Of both."""
        return files_digest(self.document, self.profile)


def files_digest(document: bytes, profile: bytes) -> str:
    """Of the order in the document and of the profile; empty when the document cannot be read.

    What the instance published itself is in the document but not in the digest: it is no reason to do anything.
    """
    order = _order_in(document)
    return hashlib.sha256(order.encode() + profile).hexdigest() if order else ""


@functools.lru_cache(maxsize=_REMEMBERED)
def _order_in(document: bytes) -> str:
    """Digest of the order in a document; empty when it cannot be read.  A cycle finds the same text several times."""
    try:
        return order_digest(instance_from_data(json.loads(document)))
    except (ValueError, InputError):
        return ""


def order_of(instance: Instance) -> dict[str, Any]:
    """What the requester ordered: the instance without what its node reported and it published itself."""
    data = instance_to_data(instance)
    for shared in data["shared_instances"]:
        shared.pop("connection", None)
    return {key: value for key, value in data.items() if key not in _OWN}


@while_it_lives
def order_digest(instance: Instance) -> str:
    """Changes exactly when buildout has something new to do (the timestamp is part of it: a bang changes it)."""
    return hashlib.sha256(json.dumps(order_of(instance), sort_keys=True).encode()).hexdigest()


@while_it_lives
def make_document(instance: Instance) -> bytes:
    """The instance document that recipes read: ``hyperopenx.get.v0.instance`` without what the node reports."""
    data = instance_to_data(instance)
    for key in ("reported_state", "health", "sentence", "reasons", "promises", "error", "generation"):
        data.pop(key)
    return json.dumps(data, indent=1, sort_keys=True).encode() + b"\n"


def read_template(release_directory: str) -> str:
    """The release's instance profile, never through a link; :class:`MachineError` when it has none."""
    for name in _TEMPLATES:
        try:
            return read_below(release_directory, name).decode("utf-8", "replace")
        except FileNotFoundError:
            continue
    raise MachineError(
        f"The release in {release_directory} has no instance.cfg.",
        reference="no-instance-profile",
        context={"directory": release_directory},
        hint="A release writes its instance profile to ${buildout:directory}/instance.cfg.",
    )


def connection_options(config: NodeConfig, partition: str, instance: Instance, paths: layout.Layout) -> dict[str, str]:
    """Options of ``[slap-connection]``."""
    certified = config.certified
    options = {
        "computer-id": config.computer_id,
        "partition-id": partition,
        "server-url": config.master_url,
        "software-release-url": instance.release,
        "key-file": paths.key(partition) if certified else "",
        "cert-file": paths.certificate(partition) if certified else "",
        "ca-file": config.master_ca_file,
        "requested-state": str(instance.state),
        "instance-guid": instance.guid,
        "document": os.path.join(config.partition_directory(partition), layout.DOCUMENT),
        **part_lists(config),
    }
    return options | ({"dialect": SLAP} if config.client_config.foreign else {})


def part_lists(config: NodeConfig) -> dict[str, str]:
    """``shared-part-list`` and ``build-time-part-list``: directories of the node, one a line."""
    return {
        "shared-part-list": "\n".join(config.shared_part_list),
        "build-time-part-list": "\n".join(config.build_time_part_list),
    }


def cache_options(config: NodeConfig) -> dict[str, str]:
    """Where built parts and sources are looked for and who is believed; all of it, so that no profile says otherwise.

    :class:`InputError` for a key or certificate that is none.  Files of keys are read here: the build's user may not.
    """
    from slapos.build.cache.settings import CacheSettings

    settings = CacheSettings(config.cache_urls, config.cache_keys, config.cache_revoked_keys, config.cache_signatures)
    return {
        **(settings.as_read() if config.cache_urls else settings).as_options(),
        "networkcache-dir-url": config.networkcache_dir_url,
        "networkcache-cache-url": config.networkcache_cache_url,
        "networkcache-certificates": config.networkcache_certificates,
    }


def make_profile(template: str, connection: Mapping[str, str], *, own: bool = False) -> bytes:
    """The template followed by the tail; ``own``: for a buildout of the release, which knows texts only."""
    write = _as_text if own else dumps
    old = ("computer-id", "partition-id", "server-url", "software-release-url", "key-file", "cert-file")
    sections: dict[str, Mapping[str, str]] = {
        "buildout": {"bin-directory": "${buildout:directory}/sbin", "offline": "true"},
        "slap-connection": {key: write(value) for key, value in connection.items()},
        "slap_connection": {key.replace("-", "_"): write(connection[key]) for key in old},
        "storage-configuration": {"storage-home": ""},
        "network-information": {"global-ipv4-network": ""},
    }
    lines = [template.rstrip("\n"), ""]
    for name, options in sections.items():
        lines += [f"[{name}]", *(f"{key} = {value}".rstrip() for key, value in options.items()), ""]
    return "\n".join(lines).encode()


def _as_text(value: str) -> str:
    """As every buildout reads it: lines indented, references not evaluated."""
    return "\n  ".join(value.replace("${", "$${").splitlines())


def make_files(config: NodeConfig, paths: layout.Layout, partition: str, instance: Instance, template: str) -> Files:
    """The document and the profile of an instance."""
    connection = connection_options(config, partition, instance, paths)
    own = brought_buildout(release_directory(config.software_root, instance.release))
    return Files(make_document(instance), make_profile(template, connection, own=bool(own)))
