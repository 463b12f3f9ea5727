"""The classic library of the field (spec/01 §4), on our client: ``slapos.slap.slap().initializeConnection(…)``.

One difference: the certificate of the master is verified, with ``master_ca_file``, else with the file that
``SLAPOS_MASTER_CA_FILE`` names, else with ``ca.pem`` beside the client's certificate, else with what the system trusts.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any, TypeVar

import requests

from slapos.slap.classic_calls import ClassicCalls
from slapos.slap.classic_objects import (
    DEFAULT_SOFTWARE_TYPE,
    OLD_DEFAULT_SOFTWARE_TYPE,
    Computer,
    SlapDocument,
    SoftwareInstance,
    SoftwareRelease,
    Supply,
    Token,
)
from slapos.slap.classic_requests import ComputerPartition, OpenOrder
from slapos.slap.exception import (
    AuthenticationError,
    ConnectionError,
    NotFoundError,
    ResourceNotReady,
    ServerError,
    SlapException,
)
from slapos.slap.hateoas import SlapHateoasNavigator
from slapos.slap.transaction import COMPUTER_PARTITION_REQUEST_LIST_TEMPLATE_FILENAME

__all__ = [
    "COMPUTER_PARTITION_REQUEST_LIST_TEMPLATE_FILENAME",
    "DEFAULT_SOFTWARE_TYPE",
    "OLD_DEFAULT_SOFTWARE_TYPE",
    "AuthenticationError",
    "Computer",
    "ComputerPartition",
    "ConnectionError",
    "NotFoundError",
    "OpenOrder",
    "ResourceNotReady",
    "ServerError",
    "SlapException",
    "SoftwareInstance",
    "SoftwareProductCollection",
    "SoftwareRelease",
    "Supply",
    "Token",
    "slap",
]

Document = TypeVar("Document", bound=SlapDocument)
_hateoas_urls: dict[tuple[object, ...], str] = {}


class slap:
    """A connection to a master."""

    _connection_helper: ClassicCalls
    _hateoas_navigator: SlapHateoasNavigator | None = None

    def initializeConnection(
        self,
        slapgrid_uri: str,
        key_file: str | None = None,
        cert_file: str | None = None,
        master_ca_file: str | None = None,
        timeout: float | None = 60,
        slapgrid_rest_uri: str | None = None,
    ) -> None:
        """Use this master; asked for its HATEOAS address unless it is given."""
        self._connection_helper = ClassicCalls(
            master_url=slapgrid_uri,
            key_file=key_file,
            cert_file=cert_file,
            ca_file=master_ca_file,
            timeout=timeout or 60.0,
        )
        identity = (slapgrid_uri, key_file, cert_file, master_ca_file, timeout)
        address = slapgrid_rest_uri or self._hateoas_address(identity)
        if address:
            self._hateoas_navigator = SlapHateoasNavigator(address, client=self._connection_helper.client)

    def _hateoas_address(self, identity: tuple[object, ...]) -> str:
        """Asked once per master and identity; a master that does not say has none."""
        if identity not in _hateoas_urls:
            with contextlib.suppress(SlapException, requests.RequestException):
                _hateoas_urls[identity] = self._connection_helper.text("getHateoasUrl").strip()
        return _hateoas_urls.get(identity, "")

    def registerSoftwareRelease(self, software_release: str) -> SoftwareRelease:
        """A release; nothing is sent."""
        return _connected(SoftwareRelease(software_release), self)

    def registerToken(self) -> Token:
        """For ``request()`` of a token; the master must have HATEOAS."""
        token = _connected(Token(), self)
        _ = token._navigator
        return token

    def registerComputer(self, computer_guid: str) -> Computer:
        """A computer; nothing is sent."""
        return _connected(Computer(computer_guid), self)

    def registerComputerPartition(self, computer_guid: str, partition_id: str) -> ComputerPartition:
        """A partition; nothing is sent."""
        if not computer_guid or not partition_id:
            raise NotFoundError(f"no partition: {computer_guid!r} {partition_id!r}")
        return _connected(ComputerPartition(computer_guid, partition_id), self)

    def registerOpenOrder(self) -> OpenOrder:
        """What the person orders."""
        return _connected(OpenOrder(), self)

    def registerSupply(self) -> Supply:
        """What the person supplies."""
        return _connected(Supply(), self)

    def getSoftwareReleaseListFromSoftwareProduct(
        self, software_product_reference: str | None = None, software_release_url: str | None = None
    ) -> list[str]:
        """URLs of the releases of a product, best first: of a named one, or of the one that a release is of."""
        given = {
            "software_product_reference": software_product_reference,
            "software_release_url": software_release_url,
        }
        arguments = {name: value for name, value in given.items() if value}
        if len(arguments) != 1:
            raise AttributeError("Give either software_product_reference or software_release_url.")
        found = self._connection_helper.read("getSoftwareReleaseListFromSoftwareProduct", **arguments)
        if not isinstance(found, list):
            raise ServerError("The master answered no list of releases.")
        return found

    def getOpenOrderDict(self) -> dict[str, Any]:
        """Root instances by title."""
        return _connected(SlapDocument(), self)._navigator.getInstanceTreeDict()

    def getComputerDict(self) -> dict[str, Any]:
        """Computers by title."""
        return _connected(SlapDocument(), self)._navigator.getComputerDict()


class SoftwareProductCollection:
    """``product.<name>`` is the URL of the best release of a product."""

    def __init__(self, logger: logging.Logger, slap: slap) -> None:
        self.logger = logger
        self.slap = slap

    def get(self, software_product: str) -> str:
        """The same, for names that are no identifiers."""
        found = self.slap.getSoftwareReleaseListFromSoftwareProduct(software_product)
        if not found:
            raise AttributeError(f"The master knows no release of the product {software_product}.")
        self.logger.info("The best release of %s is %s.", software_product, found[0])
        return found[0]

    def __getattr__(self, software_product: str) -> str:
        return self.get(software_product)


def _connected(document: Document, connection: slap) -> Document:
    document._connection_helper = connection._connection_helper
    document._hateoas_navigator = connection._hateoas_navigator
    return document
