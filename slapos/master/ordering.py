"""An order, in whatever dialect it came: checked, taken to another master when that one serves it, written.

Every endpoint that takes orders has :func:`prepare_order` as its route's preparation and calls :func:`place_order`.
"""

from __future__ import annotations

from dataclasses import dataclass

from slapos.master import parameters
from slapos.master.calls import Call, Preparation
from slapos.master.forwarding.objects import Elsewhere
from slapos.master.services import history, instances
from slapos.master.services.standing import look
from slapos.master.storage.blocking import may_block
from slapos.model.objects import Instance, InstanceRequest
from slapos.schema.parameters import check_structure


@dataclass(frozen=True)
class PreparedOrder:
    """What was done outside the transaction: ``warnings`` about the parameters; another master accepted it."""

    warnings: tuple[str, ...] = ()
    elsewhere: Elsewhere | None = None


def prepare_order(preparation: Preparation, request: InstanceRequest, requester: str | None = None) -> PreparedOrder:
    """Before the transaction; ``requester`` as of :func:`place_order`.  Errors refuse the order.

    What another master serves has its parameters checked there, and is accepted by it when this returns.
    """
    forwarder = preparation.tools.forwarder
    if forwarder.concerns(request):
        may_block()
        found = preparation.read(lambda tx, principal: look(tx, principal, request, requester))
        check_structure(request.parameters)
        elsewhere = forwarder.forward(request, found)
        if elsewhere is not None:
            return PreparedOrder(elsewhere=elsewhere)
    return PreparedOrder(parameters.check_order(preparation, request))


def place_order(call: Call, request: InstanceRequest, requester: str | None = None) -> Instance:
    """The instance as it is wanted from now on; pending while its ``node`` is empty.

    ``requester`` is the guid of the instance that asks; None for a person, and for an instance's own certificate.
    """
    prepared: PreparedOrder = call.prepared
    instance = instances.request_instance(
        call.tx, call.principal, request, requester=requester, elsewhere=prepared.elsewhere, now=call.now
    )
    _note(call, instance, prepared.warnings)
    return instance


def _note(call: Call, instance: Instance, warnings: tuple[str, ...]) -> None:
    """Keep the warnings of the preparation in the history, once per change."""
    if not warnings or instance.timestamp < int(call.now):
        return  # the order changed nothing
    last = {event.sentence for event in history.events(call.tx, call.principal, instance.guid, limit=5)}
    for sentence in (sentence for sentence in warnings if sentence not in last):
        about = (instance.project, instance.guid)
        history.record(call.tx, about, "warning", sentence, by=history.actor(call.principal), now=call.now)
