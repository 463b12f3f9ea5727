"""What an order finds before it is written: who asks, whether he may, and where the instance lives already."""

from __future__ import annotations

from dataclasses import dataclass

from slapos.master.forwarding.plan import PERSON, Standing
from slapos.master.services import access, forwards
from slapos.master.services.records import Row
from slapos.master.services.requests import check_request, find_standing
from slapos.master.storage.identities import instance_guid
from slapos.master.storage.transaction import Transaction
from slapos.model.objects import InstanceRequest
from slapos.model.principal import Principal
from slapos.model.states import InstanceState


@dataclass(frozen=True)
class Found:
    """``key``: (project, number of the root or 0, title); ``state``: the one to bring about, wherever.

    ``forward``: the row of the instance, when another master serves it.
    """

    standing: Standing
    key: tuple[str, int, str]
    requester: str
    state: InstanceState
    forward: Row | None = None


def look(tx: Transaction, principal: Principal, request: InstanceRequest, requester: str | None) -> Found:
    """Refuses what could not be written either, so that nothing of it leaves this machine."""
    check_request(request)
    asking, row = find_standing(tx, principal, request, requester, lock=False)
    forward = forwards.forward_of(tx, row["number"]) if row is not None and row["forwarded"] else None
    return Found(
        standing=Standing(
            placed=row is not None and (row["node"] is not None or (row["forwarded"] and forward is None)),
            served_by=forward["master"] if forward is not None else "",
        ),
        key=_key(principal, asking, request),
        requester=(asking["partition"] or instance_guid(asking["number"])) if asking is not None else PERSON,
        state=_wanted(request, asking, row),
        forward=forward,
    )


def _key(principal: Principal, asking: Row | None, request: InstanceRequest) -> tuple[str, int, str]:
    if asking is not None:
        return asking["project"], asking["tree"], request.title
    return access.wanted_project(principal, request.sla.get("project_guid", "")), 0, request.title


def _wanted(request: InstanceRequest, asking: Row | None, row: Row | None) -> InstanceState:
    """A stopped tree stops what is served elsewhere too."""
    own = request.state or InstanceState(row["state"] if row is not None else InstanceState.STARTED)
    stopped = asking is not None and asking["root_state"] != InstanceState.STARTED
    return InstanceState.STOPPED if stopped and own is InstanceState.STARTED else own
