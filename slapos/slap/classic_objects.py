"""The objects of the classic library: names, attributes and calls are those that scripts of the field use (spec/01 §4).

Attributes with a leading underscore travel under these names, and recipes of the field read them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import requests

from slapos.slap.classic_calls import ClassicCalls
from slapos.slap.classic_revival import revived, update
from slapos.slap.exception import NotFoundError, ResourceNotReady, SlapException
from slapos.slap.hateoas import SlapHateoasNavigator
from slapos.wire import marshal, parameter_document

DEFAULT_SOFTWARE_TYPE = "default"
OLD_DEFAULT_SOFTWARE_TYPE = "RootSoftwareInstance"

log = logging.getLogger("slapos.slap")


class SlapDocument:
    """Something that the master knows."""

    _connection_helper: ClassicCalls
    _hateoas_navigator: SlapHateoasNavigator | None = None

    def __init__(
        self,
        connection_helper: ClassicCalls | None = None,
        hateoas_navigator: SlapHateoasNavigator | None = None,
    ) -> None:
        if connection_helper is not None:
            self._connection_helper = connection_helper
            self._hateoas_navigator = hateoas_navigator

    def _connect(self, other: SlapDocument) -> None:
        """Speak to the master that ``other`` speaks to."""
        self._connection_helper = other._connection_helper
        self._hateoas_navigator = other._hateoas_navigator

    @property
    def _navigator(self) -> SlapHateoasNavigator:
        if self._hateoas_navigator is None:
            raise SlapException("The master names no HATEOAS address, which this needs; set master_rest_url.")
        return self._hateoas_navigator


class SoftwareRelease(SlapDocument):
    """A release on a computer."""

    def __init__(
        self,
        software_release: str | None = None,
        computer_guid: str | None = None,
        requested_state: str = "available",
        **more: Any,
    ) -> None:
        super().__init__(more.get("connection_helper"), more.get("hateoas_navigator"))
        self._software_instance_list: list[Any] = []
        self._software_release = software_release
        self._computer_guid = computer_guid
        self._requested_state = requested_state

    def getURI(self) -> str:
        """Its address, which is its identity."""
        if not self._software_release:
            raise NameError("The release has no URL.")
        return self._software_release

    def getComputerId(self) -> str:
        """The computer that has it, or shall."""
        if not self._computer_guid:
            raise NameError("The release has no computer.")
        return self._computer_guid

    def getState(self) -> str:
        """``available`` or ``destroyed``, as wanted."""
        return self._requested_state

    def building(self) -> None:
        """Say that it is being built."""
        self._report("buildingSoftwareRelease")

    def available(self) -> None:
        """Say that it is there."""
        self._report("availableSoftwareRelease")

    def destroyed(self) -> None:
        """Say that it is gone."""
        self._report("destroyedSoftwareRelease")

    def error(self, error_log: str, logger: logging.Logger | None = None) -> None:
        """Say what went wrong; that this cannot be said is logged only."""
        try:
            self._report("softwareReleaseError", error_log=str(error_log))
        except (SlapException, requests.RequestException, NameError):
            (logger or log).exception("The error of a release could not be told to the master.")

    def _report(self, endpoint: str, **more: str) -> None:
        fields = {"url": self.getURI(), "computer_id": self.getComputerId(), **more}
        self._connection_helper.post(endpoint, fields)


class SoftwareInstance(SlapDocument):
    """Attributes of an instance as the master sent them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__()
        update(self, attributes)


class Supply(SlapDocument):
    """The wish that computers have releases."""

    def supply(self, software_release: str, computer_guid: str | None = None, state: str = "available") -> None:
        """Have ``software_release`` on ``computer_guid``, or with ``destroyed`` no longer."""
        fields = {"url": software_release, "computer_id": computer_guid, "state": state}
        try:
            self._connection_helper.post("supplySupply", fields)
        except NotFoundError as error:
            raise NotFoundError(f"The master knows no computer {computer_guid}.") from error


class Token(SlapDocument):
    """A token for a computer that shall join."""

    def request(self) -> str:
        """A new one."""
        return self._navigator.getToken()


class Computer(SlapDocument):
    """A computer; what the master wants there is read once per object."""

    _synced = False

    def __init__(
        self,
        computer_id: str,
        connection_helper: ClassicCalls | None = None,
        hateoas_navigator: SlapHateoasNavigator | None = None,
    ) -> None:
        super().__init__(connection_helper, hateoas_navigator)
        self._computer_id = computer_id
        self._software_release_list: list[SoftwareRelease] = []
        self._computer_partition_list: list[Any] = []

    def getSoftwareReleaseList(self) -> list[SoftwareRelease]:
        """Releases wished here, and those to be removed."""
        self._synchronise()
        return self._software_release_list

    def getComputerPartitionList(self) -> list[Any]:
        """Partitions, free ones included."""
        self._synchronise()
        return list(self._computer_partition_list)

    def _synchronise(self) -> None:
        if self._synced:
            return
        if not self._computer_id:
            raise NotFoundError("getFullComputerInformation {'computer_id': ''}")
        try:
            found = self._connection_helper.read("getFullComputerInformation", computer_id=self._computer_id)
        except NotFoundError:  # a master older than that name
            found = self._connection_helper.read("getComputerInformation", computer_id=self._computer_id)
        update(self, revived(found).__dict__)
        self._synced = True
        for item in self._software_release_list:
            item._connect(self)
        for item in self._computer_partition_list:
            item._connect(self)
            item._synced = True

    def updateConfiguration(self, xml: str) -> Any:
        """Describe the computer: a marshalled dictionary."""
        return self._connection_helper.post("loadComputerConfigurationFromXML", {"xml": as_text(xml)})

    def reportUsage(self, computer_usage: str) -> None:
        """Deliver a usage document; an empty one is none."""
        if computer_usage:
            fields = {"computer_id": self._computer_id, "use_string": as_text(computer_usage)}
            self._connection_helper.post("useComputer", fields)

    def bang(self, message: str) -> None:
        """Have every partition processed."""
        self._connection_helper.post("computerBang", {"computer_id": self._computer_id, "message": message})

    def getStatus(self) -> Any:
        """The status dictionary."""
        return self._connection_helper.read("getComputerStatus", computer_id=self._computer_id)

    def generateCertificate(self) -> Any:
        """``{"certificate": …, "key": …}``."""
        return self._connection_helper.post("generateComputerCertificate", {"computer_id": self._computer_id})

    def revokeCertificate(self) -> None:
        """The certificate counts no longer."""
        self._connection_helper.post("revokeComputerCertificate", {"computer_id": self._computer_id})

    def getInformation(self) -> Computer:
        """A computer whose attributes are the fields of its HATEOAS document."""
        found = Computer(self._computer_id)
        update(found, {f"_{name}": value for name, value in self._navigator.computer(self._computer_id).items()})
        return found


def order_fields(
    order: Mapping[str, Any], parameters: Mapping[str, Any] | None, filters: Mapping[str, Any] | None
) -> dict[str, str | None]:
    """The form of ``requestComputerPartition``: every field is sent, masters of the field need them all (trap 24).

    :class:`ValueError` when parameters or filter are no dictionaries.
    """
    for name, value in (("partition_parameter_kw", parameters), ("filter_kw", filters)):
        if value is not None and not isinstance(value, dict):
            raise ValueError(f"{name} is a dictionary, not {value!r}")
    return {
        "software_release": order["software_release"],
        "software_type": order["software_type"] or DEFAULT_SOFTWARE_TYPE,
        "partition_reference": order["partition_reference"],
        "partition_parameter_xml": marshalled(parameters or {}),
        "filter_xml": marshalled(filters or {}),
        "state": marshalled(order["state"]),
        "shared_xml": marshalled(order["shared"]),
    }


def marshalled(value: Any) -> str:
    """As it travels in a form."""
    return marshal.dumps(value).decode("ascii")


def as_text(value: str | bytes) -> str:
    """Scripts of the field give either."""
    return value.decode("utf-8") if isinstance(value, bytes) else value


def connection_of(document: Any) -> dict[str, Any]:
    """Connection parameters of ``connection_xml``, which old masters send instead of a dictionary."""
    return dict(parameter_document.loads(as_text(getattr(document, "connection_xml", "") or "")))


def ready(value: Any) -> Any:
    """``value``; :class:`ResourceNotReady` when the master does not say it yet."""
    if value is None:
        raise ResourceNotReady
    return value
