"""The address at which a client can reach us again: where it reached us just now."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from slapos.master.config import MasterConfig

PATH = "hateoas/"
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def base_url(scope: Any, config: MasterConfig) -> str:
    """Of the master, with a slash at its end: on this listener, by the name that the client called.

    The configured address wins where it has that name, because only it knows of a path in front of ours.
    """
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    if not _HOST.fullmatch(host) or urlsplit(config.url).netloc == host:
        return f"{config.url}/"
    return f"{scope['scheme']}://{host}/"


def hateoas_url(scope: Any, config: MasterConfig) -> str:
    """Where the HATEOAS dialect begins."""
    return base_url(scope, config) + PATH
