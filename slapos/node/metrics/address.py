"""Where the metrics of a node are served: the option ``metrics``."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from slapos.model.errors import InputError

OFF = "off"
_LOOPBACK = "127.0.0.1"
_PATH_LIMIT = 100  # unix(7) allows 107; a name is made beside it first


@dataclass(frozen=True)
class MetricsAddress:
    """A Unix socket at ``path``, else ``port`` of the address ``host``; neither: metrics are off."""

    path: str = ""
    host: str = ""
    port: int = 0

    @property
    def off(self) -> bool:
        """Whether nothing is served."""
        return not self.path and not self.port

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/metrics" if self.port else OFF


def parse_metrics_address(text: str, default: str) -> MetricsAddress:
    """Empty: the socket ``default``; ``off``; an absolute path; a port of 127.0.0.1; ``address:port``.

    :class:`InputError` ``invalid-configuration`` for anything else.
    """
    if text == OFF:
        return MetricsAddress()
    if not text or text.startswith("/"):
        return _checked_path(text or default)
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or _LOOPBACK
    try:
        number = int(port)
        ipaddress.ip_address(host)
    except ValueError:
        raise _invalid(text, "off, an absolute path, a port, or an address with a port") from None
    if not 1 <= number <= 65535:
        raise _invalid(text, "a port from 1 to 65535")
    return MetricsAddress(host=host, port=number)


def _checked_path(path: str) -> MetricsAddress:
    if len(path.encode()) > _PATH_LIMIT:
        raise _invalid(path, f"a path of at most {_PATH_LIMIT} bytes, which is what the system allows a socket")
    return MetricsAddress(path=path)


def _invalid(text: str, expected: str) -> InputError:
    return InputError(
        f"[hyperopenx] metrics: expected {expected}, not {text!r}.",
        reference="invalid-configuration",
        context={"field": "metrics", "value": text},
        hint="Correct it in the configuration file of the node.",
    )
