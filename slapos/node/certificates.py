"""Certificates of instances and of the node itself.  A private key is made here and never leaves the machine."""

from __future__ import annotations

import contextlib
import os

from slapos.model.errors import HyperopenxError, NotFound
from slapos.node.config import NodeConfig
from slapos.node.layout import Layout
from slapos.pki.certificates import describe
from slapos.pki.files import load_key, load_text, recover_pair, write_certificate, write_pair
from slapos.pki.keys import PrivateKey, key_from_pem, new_key
from slapos.pki.renewal import renewal_time, sign_possession
from slapos.pki.requests import make_csr
from slapos.slap.client import Client
from slapos.slap.interface import Master
from slapos.system.users import Identity


def renewal_date(layout: Layout, partition: str, guid: str, owner: Identity, *, foreign: bool = False) -> float | None:
    """When the certificate of ``guid`` in ``partition`` is due for renewal; None when there is no usable one.

    ``foreign``: another authority made it, which names instances as it likes.
    """
    key, certificate = layout.key(partition), layout.certificate(partition)
    try:
        if not recover_pair(key, certificate):
            return None
        info = describe(load_text(certificate))
    except HyperopenxError:
        return None
    facts = os.stat(key)
    usable = (foreign or info.reference == guid) and facts.st_uid == owner.uid and facts.st_mode & 0o777 == 0o400
    return renewal_time(info) if usable else None


def certify(client: Master, layout: Layout, place: tuple[str, str], guid: str, owner: Identity) -> None:
    """A new key and certificate for the instance ``guid``, readable by the user of its partition only.

    ``place`` is (node, partition).  The key is made here, unless the master makes both.
    """
    partition = place[1]
    given = client.given_pair(*place)
    if given is None:
        key: PrivateKey = new_key()
        certificate = client.certificate("instance", make_csr(key, guid, "instance"), guid).certificate
    elif given.certificate and given.key:
        key, certificate = key_from_pem(given.key.encode(), "the key that the master made"), given.certificate
    else:
        raise NotFound(
            "The master has no certificate for the instance.",
            reference="no-certificate",
            context={"node": place[0], "partition": partition},
            hint="A master without an authority of its own is named by an http:// address, reached through a tunnel.",
        )
    write_pair(layout.key(partition), key, layout.certificate(partition), certificate)
    os.chown(layout.key(partition), owner.uid, owner.gid)
    os.chmod(layout.key(partition), 0o400)


def still_valid(layout: Layout, partition: str, now: float) -> bool:
    """Whether the certificate in hand can be used for another hour."""
    try:
        return describe(load_text(layout.certificate(partition))).not_after > now + 3600
    except HyperopenxError:
        return False


def remove_certificate(layout: Layout, partition: str) -> None:
    """Neither key nor certificate of the partition is left."""
    for path in (layout.key(partition), layout.certificate(partition)):
        for name in (path, path + ".new"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def has_certificate(layout: Layout, partition: str) -> bool:
    """Whether a file of the last instance is left in the repository."""
    return os.path.exists(layout.key(partition)) or os.path.exists(layout.certificate(partition))


def renew_own(config: NodeConfig, now: float) -> bool:
    """Renew the node's certificate from half-life on, also after it expired; whether there is a new one.

    Other masters than ours do not renew: their person replaces the files.
    """
    if config.client_config.foreign:
        return False
    recover_pair(config.key_file, config.cert_file)
    old = load_text(config.cert_file)
    info = describe(old)
    if now < renewal_time(info):
        return False
    key = new_key()
    csr = make_csr(key, info.reference, info.kind)
    anonymous = Client(master_url=config.master_url, ca_file=config.master_ca_file)
    try:
        answer = anonymous.renew(old, csr, sign_possession(load_key(config.key_file), old, csr))
    finally:
        anonymous.close()
    write_pair(config.key_file, key, config.cert_file, answer.certificate)
    write_certificate(config.master_ca_file, answer.ca)
    return True
