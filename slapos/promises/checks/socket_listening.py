"""Check that somebody accepts connections.

Options: ``host`` and ``port``, or ``pathname`` (a unix socket), or ``abstract`` (its name in the abstract namespace);
``timeout`` (seconds, 5).
"""

from __future__ import annotations

import socket

from slapos.promises.checks.options import number, text
from slapos.promises.generic import GenericPromise


class RunPromise(GenericPromise):
    """See the module."""

    def sense(self) -> None:
        timeout = number(self, "timeout", 5)
        pathname, abstract = text(self, "pathname", ""), text(self, "abstract", "")
        if pathname or abstract:
            where = pathname or f"@{abstract}"
            address: str | tuple[str, int] = pathname or f"\0{abstract}"
        else:
            address = (text(self, "host").strip("[]"), int(number(self, "port")))
            where = f"{address[0]} port {address[1]}"
        try:
            self._connect(address, timeout)
        except OSError as error:
            self.logger.error("Nobody listens at %s: %s", where, error)
        else:
            self.logger.info("Somebody listens at %s", where)

    def _connect(self, address: str | tuple[str, int], timeout: float) -> None:
        if isinstance(address, tuple):
            socket.create_connection(address, timeout).close()
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            client.connect(address)
