"""Which report of ours is which call of the XML dialect, and which would only repeat what was told.  No effects."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from slapos.model.objects import Instance, InstanceReport, SupplyStatus
from slapos.model.states import Health, InstanceState, SupplyReport
from slapos.model.text import printable


@dataclass(frozen=True)
class Call:
    """One call: ``token`` is what makes it differ from another one to the same endpoint."""

    subject: str
    endpoint: str
    fields: Mapping[str, str | None]
    identity: tuple[str, str] | None
    token: str = ""


_LOG_LIMIT = 4_000  # characters of an error
_OF_SUPPLY = {
    SupplyReport.BUILDING: "buildingSoftwareRelease",
    SupplyReport.AVAILABLE: "availableSoftwareRelease",
    SupplyReport.DESTROYED: "destroyedSoftwareRelease",
    SupplyReport.ERROR: "softwareReleaseError",
}
_OF_STATE = {
    InstanceState.STARTED: "startedComputerPartition",
    InstanceState.STOPPED: "stoppedComputerPartition",
    InstanceState.DESTROYED: "destroyedComputerPartition",
}
DESTROYED = _OF_STATE[InstanceState.DESTROYED]


class Reports:
    """What was told of each subject.  Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, tuple[str, str]] = {}

    def of_supply(self, node: str, status: SupplyStatus) -> Call | None:
        """The call for a release; None when there is nothing new to say."""
        endpoint = _OF_SUPPLY.get(status.reported)
        if endpoint is None:
            return None
        fields: dict[str, str | None] = {"url": status.release, "computer_id": node}
        if status.reported is SupplyReport.ERROR:
            fields["error_log"] = printable(status.sentence)[:_LOG_LIMIT]
        return self._unless_told(
            Call(f"release {status.release}", endpoint, fields, None, fields.get("error_log") or "")
        )

    def of_instance(self, node: str, partition: str, report: InstanceReport) -> Call | None:
        """The call for an instance; None when it is on its way, or there is nothing new to say."""
        fields: dict[str, str | None] = {"computer_id": node, "computer_partition_id": partition}
        if report.health is Health.ERROR:
            endpoint = "softwareInstanceError"
            fields["error_log"] = printable(report.sentence)[:_LOG_LIMIT]
        elif report.health in (Health.OK, Health.STOPPED, Health.DESTROYED) and report.reported_state:
            endpoint = _OF_STATE[InstanceState(report.reported_state)]
        else:
            return None
        # A bang leaves its mark on the status until the next word: the same state is news after another order.
        token = f"{report.timestamp} {fields.get('error_log', '')}"
        return self._unless_told(Call(partition, endpoint, fields, (node, partition), token))

    def told(self, call: Call) -> None:
        """It arrived."""
        with self._lock:
            self._told[call.subject] = (call.endpoint, call.token)

    def must_repeat(self, partition: str, instance: Instance | None) -> bool:
        """Whether a destruction that was told did not free the partition."""
        with self._lock:
            told = self._told.get(partition, ("", ""))[0] == DESTROYED
            if told and (instance is None or instance.state is not InstanceState.DESTROYED):
                del self._told[partition]  # the next instance lives there
                return False
        return told

    def _unless_told(self, call: Call) -> Call | None:
        with self._lock:
            return None if self._told.get(call.subject) == (call.endpoint, call.token) else call
