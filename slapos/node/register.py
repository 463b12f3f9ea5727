"""Making this computer a node of a master: a key of its own, a token for a certificate, a configuration."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from slapos.model.errors import Conflict
from slapos.model.text import check_title
from slapos.node.config import NodeConfig, load_config, write_config
from slapos.pki.files import forget_request, load_or_create_request, write_certificate
from slapos.pki.tokens import authority_for
from slapos.slap.authority import unverified_authority
from slapos.slap.client import Client
from slapos.system.files import make_directory

CONFIG_NAME = "slapos.cfg"


def register(directory: str, wished: NodeConfig, token: str, *, ca_file: str = "") -> NodeConfig:
    """Enrol with ``token`` and write ``<directory>/slapos.cfg``; the configuration as written.

    ``wished`` has everything but the identity: its ``computer_id`` and files are filled in.  ``ca_file`` verifies the
    master; without it the token's fingerprint does, and for a token without one the authorities of the machine.  The
    key is made here, kept over retries, and never sent.
    :class:`Conflict` ``already-registered`` when the directory holds a node.
    """
    path = os.path.join(directory, CONFIG_NAME)
    if os.path.exists(path):
        known = load_config(path)
        raise Conflict(
            f"{path} already makes this computer the node {known.computer_id}.",
            reference="already-registered",
            context={"path": path, "node": known.computer_id, "master": known.master_url},
            hint="Use it, or choose another name for a second node.",
        )
    check_title("name", wished.name)
    make_directory(directory, 0o755)
    files: dict[str, Any] = {name: os.path.join(directory, leaf) for name, leaf in _FILES.items()}
    csr = load_or_create_request(files["key_file"], wished.name, "node")
    if not ca_file and (ca := authority_for(token, wished.master_url, unverified_authority)):
        ca_file = files["master_ca_file"]
        write_certificate(ca_file, ca)
    client = Client(master_url=wished.master_url, ca_file=ca_file)
    try:
        answer = client.enrol(token, csr)
    finally:
        client.close()
    write_certificate(files["cert_file"], answer.certificate)
    write_certificate(files["master_ca_file"], answer.ca)
    config = dataclasses.replace(wished, computer_id=answer.reference, **files)
    write_config(path, config)
    forget_request(files["key_file"])
    return load_config(path)


_FILES = {"key_file": "node.key", "cert_file": "node.pem", "master_ca_file": "ca.pem"}


def site_config(directory: str, *, name: str, master_url: str, run_directory: str) -> NodeConfig:
    """What :func:`register` is given for a node whose files all lie in ``directory``."""
    return NodeConfig(
        computer_id="",
        master_url=master_url,
        name=name,
        software_root=os.path.join(directory, "software"),
        instance_root=os.path.join(directory, "instance"),
        certificate_repository_path=os.path.join(directory, "certificates"),
        state_directory=os.path.join(directory, "state"),
        log_directory=os.path.join(directory, "log"),
        download_cache=os.path.join(directory, "download-cache"),
        run_directory=run_directory,
    )
