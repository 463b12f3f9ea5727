"""The HATEOAS calls of the classic library, under its names."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar

from slapos.slap.classic_calls import translated
from slapos.slap.exception import NotFoundError
from slapos.slap.field_client import FieldClient
from slapos.slap.listing import NODES, TREES, Listing, Row, quoted

T = TypeVar("T")
_INSTANCE_COLUMNS = (
    "uid",
    "title",
    "relative_url",
    "portal_type",
    "url_string",
    "text_content",
    "getConnectionXmlAsDict",
    "SoftwareInstance_getNewsDict",
)


class SlapHateoasNavigator:
    """Listings of a person."""

    def __init__(
        self,
        slapgrid_uri: str,
        *,
        client: FieldClient,
    ) -> None:
        self.slapos_master_hateoas_uri = slapgrid_uri
        self._client = client
        self._listing = Listing(client=client, url=slapgrid_uri)

    def getInstanceTreeDict(self, title: str | None = None) -> dict[str, Any]:
        """By title, objects with ``_title`` and ``_software_release_url``."""
        query = TREES if title is None else f"{TREES} AND title:={quoted(title)}"
        rows = self._search(query, ("title", "url_string"))
        return {row["title"]: _document(row, _software_release_url=row.get("url_string")) for row in rows}

    def getComputerDict(self) -> dict[str, Any]:
        """By title, objects with ``_title`` and ``_reference``."""
        return {row["title"]: _document(row) for row in self._search(NODES, ("title", "reference"))}

    def getInstanceTreeInstanceList(self, title: str) -> list[Row]:
        """Rows of the instances of a tree."""
        kinds = 'portal_type:("Software Instance", "Slave Instance") AND validation_state:validated'
        return self._search(f"{kinds} AND default_specialise_title:={quoted(title)}", _INSTANCE_COLUMNS)

    def getInstanceTreeRootSoftwareInstanceInformation(self, reference: str) -> dict[str, Any]:
        """``{"data": fields}`` of the tree of this title."""
        return {"data": self.instance_tree(reference)}

    def getSoftwareInstallationList(self, computer_guid: str | None = None) -> list[Row]:
        """Rows of the releases of a computer."""
        query = 'portal_type:"Software Installation" AND validation_state:validated'
        if computer_guid is not None:
            query += f" AND default_aggregate_reference:={quoted(computer_guid)}"
        return self._search(query, ("uid", "relative_url", "url_string", "SoftwareInstallation_getNewsDict"))

    def getToken(self) -> str:
        """A token for a computer."""
        links = self._call(lambda: self._listing.links)
        address = links.get("self", {}).get("href")
        if not address:
            raise NotFoundError("The master gives no tokens through HATEOAS.")
        answer = self._call(lambda: self._client.json(f"{address}/computer_module/Base_getComputerToken"))
        return str(answer["access_token"])

    def instance_tree(self, title: str) -> dict[str, Any]:
        """The fields of a tree."""
        return self._call(lambda: self._listing.tree(title))

    def computer(self, reference: str) -> dict[str, Any]:
        """The fields of a computer."""
        return self._call(lambda: self._listing.node(reference))

    def _search(self, query: str, columns: tuple[str, ...]) -> list[Row]:
        return self._call(lambda: self._listing.search(query, columns))

    def _call(self, call: Callable[[], T]) -> T:
        return translated(self.slapos_master_hateoas_uri, {}, call)


def _document(row: Row, **more: Any) -> SimpleNamespace:
    attributes = {f"_{name}": value for name, value in row.items() if name not in ("_links", "url_string")}
    return SimpleNamespace(**attributes, **more)
