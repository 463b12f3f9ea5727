"""Check that a certificate can be read, fits its key, and does not expire soon.

Options: ``certificate`` (PEM file), ``certificate-expiration-days`` (15), ``key`` (its private key, optional).
"""

from __future__ import annotations

import ssl
import time

from slapos.model.errors import InputError
from slapos.pki.certificates import describe
from slapos.promises.checks.options import number, text
from slapos.promises.generic import GenericPromise

_DAY = 86400.0


class RunPromise(GenericPromise):
    """See the module."""

    def sense(self) -> None:
        path = text(self, "certificate")
        days = number(self, "certificate-expiration-days", 15)
        try:
            with open(path, encoding="ascii", errors="replace") as stream:
                info = describe(stream.read(), path)
        except (OSError, InputError) as error:
            self.logger.error("The certificate %s cannot be read: %s", path, error)
            return
        now = time.time()
        left = (info.not_after - now) / _DAY
        if left < days:
            self.logger.error("The certificate %s %s", path, _ending(left, days))
        elif info.not_before > now + 60:
            self.logger.error("The certificate %s is not valid yet", path)
        elif self._key_fits(path):
            self.logger.info("The certificate %s is valid for %.0f days", path, left)

    def _key_fits(self, path: str) -> bool:
        key = text(self, "key", "")
        if not key:
            return True
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, key, password="")
        except (OSError, ValueError) as error:
            self.logger.error("The key %s does not fit the certificate %s: %s", key, path, error)
            return False
        return True


def _ending(left: float, days: float) -> str:
    if left < 0:
        return f"expired {-left:.1f} days ago"
    return f"expires in {left:.1f} days, at least {days:g} were promised"
