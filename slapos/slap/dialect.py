"""Which of two clients speaks to a master: ours, or the one for masters that speak only the XML dialect."""

from __future__ import annotations

from dataclasses import dataclass

from slapos.model.client import ClientConfig
from slapos.slap.client import Client
from slapos.slap.field_client import FieldClient
from slapos.slap.foreign.master import ForeignMaster
from slapos.slap.foreign.person import ForeignPerson
from slapos.slap.interface import Master


@dataclass(frozen=True)
class Asker:
    """Who asks: a node, and where an instance asks, its partition and guid there."""

    node: str = ""
    partition: str = ""
    guid: str = ""


def open_master(
    config: ClientConfig,
    asker: Asker,
    *,
    timeout: float = 60.0,
    patience: float = 20.0,
    poll_period: float = 20.0,
) -> Master:
    """The client for what ``config`` names."""
    if not config.foreign:
        return Client.from_config(config, timeout=timeout, patience=patience)
    return ForeignMaster(
        client=field_client(config, timeout=timeout),
        node=asker.node,
        partition=asker.partition,
        guid=asker.guid,
        patience=patience,
        poll_period=poll_period,
    )


def open_foreign_person(config: ClientConfig, *, patience: float = 20.0) -> ForeignPerson:
    """The client of a person for a master that speaks only XML."""
    return ForeignPerson(client=field_client(config), rest_url=config.rest_url, patience=patience)


def field_client(config: ClientConfig, *, timeout: float = 60.0) -> FieldClient:
    """Without TLS there is nobody to show a certificate to, and its files need not exist."""
    secure = config.master_url.startswith("https://")
    return FieldClient(
        master_url=config.master_url,
        key_file=config.key_file if secure else "",
        cert_file=config.cert_file if secure else "",
        ca_file=config.ca_file if secure else "",
        timeout=timeout,
    )
