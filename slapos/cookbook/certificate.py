"""``hyperopenx:certificate``: a server certificate from the master's authority; the key never leaves the partition."""

from __future__ import annotations

import ipaddress
import os
import re
import time
from typing import ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.connection import CONNECTION_OPTIONS, client_of, guid_of, instance_of
from slapos.cookbook.places import make_parents, path_below
from slapos.model.errors import InputError, Unavailable
from slapos.pki.certificates import CertificateInfo, describe, issued_by
from slapos.pki.files import load_key, load_or_create_key, load_text, write_certificate
from slapos.pki.keys import public_bytes
from slapos.pki.renewal import renewal_due
from slapos.pki.requests import make_csr
from slapos.system.files import write_if_changed

_NAME = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*")
_FILES = {"key-path": "key", "cert-path": "crt", "ca-path": "ca.crt", "chain-path": "chain.crt"}


class Certificate(Recipe):
    """Key, certificate, authority and full chain as four files; renewed from half of the life on."""

    OPTIONS: ClassVar[dict[str, str]] = {
        **CONNECTION_OPTIONS,
        "addresses": "those of the partition",
        "names": "",
        "key-path": "etc/ssl/<name>.key",
        "cert-path": "etc/ssl/<name>.crt",
        "ca-path": "etc/ssl/<name>.ca.crt",
        "chain-path": "etc/ssl/<name>.chain.crt",
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """The four paths, absolute."""
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", name)
        return Description(
            outputs={option: path_below(options, option, f"etc/ssl/{stem}.{end}") for option, end in _FILES.items()}
        )

    def install(self) -> list[str]:
        key_path, certificate_path, ca_path, chain_path = (self.text(option) for option in _FILES)
        for path in (key_path, certificate_path, ca_path, chain_path):
            make_parents(path)
        info = self._current()
        if info is None or renewal_due(info, time.time()):
            self._order(info)
        chain = load_text(certificate_path).rstrip("\n") + "\n" + load_text(ca_path)
        write_if_changed(chain_path, chain, 0o644)
        return [key_path, certificate_path, ca_path, chain_path]

    def update(self) -> list[str]:
        """Renews when it is time."""
        return self.install()

    def _current(self) -> CertificateInfo | None:
        """The certificate in place; None when there is none that fits key, authority and wanted names."""
        key_path, certificate_path, ca_path, _ = (self.text(option) for option in _FILES)
        if not all(os.path.exists(path) for path in (key_path, certificate_path, ca_path)):
            return None
        try:
            certificate = load_text(certificate_path)
            info = describe(certificate, certificate_path)
            fits = info.public_key == public_bytes(load_key(key_path).public_key())
            issued = issued_by(certificate, load_text(ca_path))
        except InputError:
            return None  # damaged: a new one is the repair
        addresses, wanted_names = self._wanted()
        same = set(info.addresses) == set(addresses) and set(info.names) == set(wanted_names)
        return info if fits and issued and same else None

    def _order(self, current: CertificateInfo | None) -> None:
        """A new certificate for the same key; without a master, one that is still valid stays in use."""
        key_path, certificate_path, ca_path, _ = (self.text(option) for option in _FILES)
        addresses, wanted_names = self._wanted()
        guid = guid_of(self)
        request = make_csr(load_or_create_key(key_path), guid, "service", addresses, wanted_names)
        try:
            with client_of(self) as client:
                answer = client.certificate("service", request, guid)
        except Unavailable as error:
            if current is None or current.not_after <= time.time():
                raise
            self.logger.warning("The certificate is renewed later: %s", error.message)
            return
        write_certificate(ca_path, answer.ca)
        write_certificate(certificate_path, answer.certificate)

    def _wanted(self) -> tuple[list[str], list[str]]:
        """Addresses (canonical text) and DNS names of the server."""
        given = self.names("addresses", ())
        found = given or [address.ip for address in instance_of(self).addresses]
        try:
            addresses = sorted({str(ipaddress.ip_address(address)) for address in found})
        except ValueError as error:
            raise self.error("addresses", f"{error}.", reference="invalid-option") from error
        wanted = sorted(set(self.names("names", ())))
        for name in wanted:
            if not _NAME.fullmatch(name) or len(name) > 253:
                raise self.error("names", f"{name[:100]!r} is no DNS name.", reference="invalid-option")
        return addresses, wanted
