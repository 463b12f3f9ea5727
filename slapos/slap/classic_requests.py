"""The classic objects that order instances: a person's open order, and a partition on behalf of its instance."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import requests

from slapos.slap import transaction
from slapos.slap.classic_calls import ClassicCalls
from slapos.slap.classic_objects import (
    Computer,
    SlapDocument,
    SoftwareInstance,
    as_text,
    connection_of,
    log,
    marshalled,
    order_fields,
    ready,
)
from slapos.slap.classic_revival import revived, update
from slapos.slap.exception import NotFoundError, ResourceNotReady, SlapException
from slapos.slap.hateoas import SlapHateoasNavigator
from slapos.wire import parameter_document


class OpenOrder(SlapDocument):
    """What a person orders."""

    def request(  # noqa: PLR0913, PLR0917 - the field's signature
        self,
        software_release: str,
        partition_reference: str,
        partition_parameter_kw: dict[str, Any] | None = None,
        software_type: str | None = None,
        filter_kw: dict[str, Any] | None = None,
        state: str | None = None,
        shared: bool = False,
    ) -> ComputerPartition:
        """Order or change the instance called ``partition_reference``."""
        order = {
            "software_release": software_release,
            "software_type": software_type,
            "partition_reference": partition_reference,
            "state": state,
            "shared": shared,
        }
        return _requested(self, order_fields(order, partition_parameter_kw, filter_kw), None)

    def requestComputer(self, computer_reference: str) -> Computer:
        """A new computer called ``computer_reference``."""
        answer = self._connection_helper.post("requestComputer", {"computer_title": computer_reference})
        computer: Computer = revived(answer)
        computer._connect(self)
        return computer

    def getInformation(self, partition_reference: str) -> SoftwareInstance:
        """The root instance of this title, with the fields of its HATEOAS document."""
        return information_of(self._navigator.instance_tree(partition_reference))


class ComputerPartition(SlapDocument):
    """A partition, or with ``request_dict`` alone an order that has none yet."""

    def __init__(
        self,
        computer_id: str | None = None,
        partition_id: str | None = None,
        request_dict: Mapping[str, Any] | None = None,
        connection_helper: ClassicCalls | None = None,
        hateoas_navigator: SlapHateoasNavigator | None = None,
    ) -> None:
        super().__init__(connection_helper, hateoas_navigator)
        placed = computer_id is not None or partition_id is not None
        if request_dict is not None and placed:
            raise TypeError("request_dict and the identifiers of a partition exclude each other")
        if request_dict is None and (computer_id is None or partition_id is None):
            raise TypeError("either request_dict, or computer_id and partition_id are needed")
        self._computer_id = computer_id
        self._partition_id = partition_id
        self._request_dict = request_dict
        transaction.begin(partition_id)

    def request(  # noqa: PLR0913, PLR0917 - the field's signature
        self,
        software_release: str,
        software_type: str | None,
        partition_reference: str,
        shared: bool = False,
        partition_parameter_kw: dict[str, Any] | None = None,
        filter_kw: dict[str, Any] | None = None,
        state: str | None = None,
    ) -> ComputerPartition:
        """Order or change an instance on behalf of the one that lives here."""
        order = {
            "software_release": software_release,
            "software_type": software_type,
            "partition_reference": partition_reference,
            "state": state,
            "shared": shared,
        }
        fields = order_fields(order, partition_parameter_kw, filter_kw)
        transaction.note(self._partition_id, partition_reference)
        return _requested(self, self._named() | fields, self._identity)

    def getId(self) -> str:
        """``slappart3``."""
        return str(self._identity[1])

    @property
    def _identity(self) -> tuple[str, str]:
        if not self._partition_id or not self._computer_id:
            raise ResourceNotReady
        return self._computer_id, self._partition_id

    def _named(self) -> dict[str, str | None]:
        computer, partition = self._identity
        return {"computer_id": computer, "computer_partition_id": partition}

    def _post(self, endpoint: str, **fields: str | None) -> Any:
        return self._connection_helper.post(endpoint, self._named() | fields, self._identity)

    def started(self) -> None:
        """Say that it runs."""
        self._post("startedComputerPartition")

    def stopped(self) -> None:
        """Say that it is stopped."""
        self._post("stoppedComputerPartition")

    def destroyed(self) -> None:
        """Say that nothing is left of it."""
        self._post("destroyedComputerPartition")

    def error(self, error_log: str, logger: logging.Logger | None = None, slave_reference: str | None = None) -> None:
        """Say what went wrong; that this cannot be said is logged only."""
        try:
            self._post("softwareInstanceError", error_log=str(error_log), slave_reference=slave_reference or None)
        except (SlapException, requests.RequestException):
            (logger or log).exception("The error of an instance could not be told to the master.")

    def bang(self, message: str) -> None:
        """Have the whole tree processed again."""
        self._post("softwareInstanceBang", message=message)

    def rename(self, new_name: str, slave_reference: str | None = None) -> None:
        """Another title."""
        self._post("softwareInstanceRename", new_name=new_name, slave_reference=slave_reference or None)

    def setConnectionDict(self, connection_dict: Mapping[str, Any], slave_reference: str | None = None) -> None:
        """Publish for the requester; ``slave_reference``: of this shared instance."""
        self._post(
            "setComputerPartitionConnectionXml",
            connection_xml=marshalled(dict(connection_dict)),
            slave_reference=slave_reference,
        )

    def setComputerPartitionRelatedInstanceList(self, instance_reference_list: Iterable[str]) -> None:
        """All titles that this processing requested."""
        titles = marshalled(list(instance_reference_list))
        self._post("updateComputerPartitionRelatedInstanceList", instance_reference_xml=titles)

    def setUsage(self, usage_log: str) -> None:
        """Kept for the caller; nothing is sent."""
        self.usage = usage_log

    def getInstanceGuid(self) -> str:
        """``SOFTINST-7``."""
        return str(ready(self._known("_instance_guid")))

    def getState(self) -> str:
        """As wanted."""
        return str(ready(self._known("_requested_state")))

    def getType(self) -> str:
        """The software type."""
        return str(ready(self.getInstanceParameterDict().get("slap_software_type") or None))

    def getAccessStatus(self) -> str | None:
        """The last status text of the master."""
        status: str | None = getattr(self, "_access_status", None)
        return status

    def getStatus(self) -> str | None:
        """The same."""
        return self.getAccessStatus()

    def getInstanceParameterDict(self) -> dict[str, Any]:
        """Parameters with the reserved keys of the protocol."""
        return self._known("_parameter_dict") or {}

    def getConnectionParameterDict(self) -> dict[str, Any]:
        """What the instance published."""
        found: dict[str, Any] | None = self._known("_connection_dict")
        return (connection_of(self) if found is None else found) or {}

    def getSoftwareRelease(self) -> Any:
        """The release of the instance."""
        found = self._known("_software_release_document")
        if found is None:
            raise NotFoundError(f"The partition {self.getId()} has no release.")
        return found

    def getInstanceParameter(self, key: str) -> Any:
        """One parameter of those in hand."""
        return _item(getattr(self, "_parameter_dict", None) or {}, key)

    def getConnectionParameter(self, key: str) -> Any:
        """One published value."""
        return _item(self.getConnectionParameterDict(), key)

    def getCertificate(self) -> Any:
        """``{"certificate": …, "key": …}`` of the instance."""
        return self._read("getComputerPartitionCertificate")

    def getFullHostingIpAddressList(self) -> Any:
        """``(interface, ip)`` of every partition of the tree."""
        return self._read("getHostingSubscriptionIpList")

    def _read(self, endpoint: str) -> Any:
        computer, partition = self._identity
        return self._connection_helper.read(endpoint, computer_id=computer, computer_partition_id=partition)

    def _known(self, attribute: str) -> Any:
        """An attribute, asked from the master when it was never said."""
        if attribute not in self.__dict__:
            computer, partition = self._identity
            found = revived(
                self._connection_helper.read(
                    "registerComputerPartition", computer_reference=computer, computer_partition_reference=partition
                )
            )
            for name in _TOLD:
                setattr(self, name, getattr(found, name, None))
        return self.__dict__[attribute]


_TOLD = ("_instance_guid", "_requested_state", "_software_release_document", "_parameter_dict", "_connection_dict")


def _requested(
    requester: SlapDocument, fields: dict[str, str | None], identity: tuple[str, str] | None
) -> ComputerPartition:
    calls = requester._connection_helper
    try:
        answer = revived(calls.post("requestComputerPartition", fields, identity))
    except ResourceNotReady:
        return ComputerPartition(request_dict=fields, connection_helper=calls)
    if isinstance(answer, ComputerPartition):  # of another master
        placed = ComputerPartition(answer._computer_id, answer._partition_id)
    else:
        placed = ComputerPartition(answer.slap_computer_id, answer.slap_computer_partition_id)
    placed._connect(requester)
    update(placed, answer.__dict__)
    return placed


def information_of(fields: Mapping[str, Any]) -> SoftwareInstance:
    """The attributes that scripts expect of an instance read through HATEOAS."""
    instance = SoftwareInstance(**{f"_{name}": value for name, value in fields.items()})
    parameters = dict(parameter_document.loads(as_text(fields.get("text_content") or "")))
    if list(parameters) == ["_"]:
        parameters["_"] = json.loads(parameters["_"] or "null")
    said = {
        "_parameter_dict": parameters,
        "_requested_state": fields.get("slap_state"),
        "_connection_dict": fields.get("connection_parameter_list"),
        "_software_release_url": fields.get("url_string"),
    }
    update(instance, said)
    return instance


def _item(values: Mapping[str, Any], key: str) -> Any:
    try:
        return values[key]
    except KeyError as error:
        raise NotFoundError(f"{key} not found") from error
