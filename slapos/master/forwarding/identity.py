"""How a master recognises itself: by the addresses under which it is reached, and by its run id."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

from slapos.master.config import MasterConfig, server_names
from slapos.master.forwarding.plan import Ourselves, normal_url


def run_id(ca_pem: str) -> str:
    """32 characters that name this master and no other; the same in all its processes, and after a restart.

    ``GET /getRunId`` tells them to everybody.
    """
    return hashlib.sha256(b"run id\n" + ca_pem.encode()).hexdigest()[:32]


def ourselves(config: MasterConfig, ca_pem: str) -> Ourselves:
    """Under which addresses requests may name this master."""
    names = server_names(config)
    hosts, ports, urls = {config.host, *names.addresses, *names.names}, {config.port}, [config.url]
    listener = config.insecure_legacy_listener
    if listener is not None:
        hosts.add(listener.host)
        ports.add(listener.port)
        urls.append(listener.url)
    public = urlsplit(config.url)
    places = {(host, port) for host in hosts for port in ports}
    places.add((public.hostname or "", public.port or 443))
    return Ourselves(run_id(ca_pem), frozenset(places), frozenset(normal_url(url) for url in urls))
