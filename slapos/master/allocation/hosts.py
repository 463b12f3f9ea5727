"""Which instance serves a shared instance: a pure decision, with reasons for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slapos.master.allocation.sla import Sla


@dataclass(frozen=True)
class Host:
    """A live instance of the wanted release in the project.  ``shared`` counts what it serves already."""

    guid: str
    number: int
    software_type: str
    started: bool
    shared: int
    node: str = ""  # empty: it waits for a partition itself
    network: str = ""


@dataclass(frozen=True)
class HostDecision:
    """``host`` is empty when ``reasons`` say why there is none."""

    host: str = ""
    reasons: tuple[str, ...] = ()
    hopeless: bool = False


def decide_host(sla: Sla, software_type: str, hosts: Sequence[Host]) -> HostDecision:
    """A started host before a stopped one, then the least used, then the oldest."""
    if sla.refusals:
        return HostDecision(reasons=sla.refusals, hopeless=True)
    objections: dict[str, int] = {}
    fit: list[Host] = []
    for host in hosts:
        objection = _objection(sla, software_type, host)
        if objection is None:
            fit.append(host)
        else:
            objections[objection] = objections.get(objection, 0) + 1
    if fit:
        return HostDecision(min(fit, key=lambda host: (not host.started, host.shared, host.number)).guid)
    if not hosts:
        return HostDecision(reasons=("No instance of this release runs in the project to serve a shared one.",))
    parts = ", ".join(f"{count} {text}" for text, count in sorted(objections.items(), key=lambda item: -item[1]))
    noun = "instance" if len(hosts) == 1 else "instances"
    return HostDecision(reasons=(f"{len(hosts)} {noun} of this release: {parts}.",))


def _objection(sla: Sla, software_type: str, host: Host) -> str | None:
    checks = (
        (bool(sla.companion) and host.guid != sla.companion, f"not {sla.companion}"),
        (host.software_type != software_type, f"of another software type than {software_type}"),
        (not host.node, "without a partition yet"),
        (bool(sla.node) and host.node != sla.node, f"not on {sla.node}"),
        (bool(sla.network) and host.network != sla.network, f"not in the network {sla.network}"),
    )
    return next((text for wrong, text in checks if wrong), None)
