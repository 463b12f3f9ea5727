"""XML endpoints of releases on nodes: wishes of persons, reports of nodes (spec/01 §3.1, §3.4)."""

from __future__ import annotations

from collections.abc import Sequence

from slapos.master import parameters
from slapos.master.authorization import Action
from slapos.master.calls import Call, Preparation
from slapos.master.endpoints.nodes import note_warnings
from slapos.master.field.caller import Acting
from slapos.master.field.routes import NODE, Field, FieldAnswer, FieldRoute, Marshalled, Plain
from slapos.master.services import access, supplies
from slapos.model.errors import InputError, NotFound
from slapos.model.objects import Supply, SupplyStatus
from slapos.model.states import SupplyReport, SupplyState

LOG_LIMIT = 2_000  # characters kept of an error's log
_RELEASE = (Field("url"), Field(NODE))


def prepare_supply(preparation: Preparation) -> tuple[str, ...]:
    """Warnings about the release; an error when it does not exist, or lies where it must not."""
    message = preparation.message
    if wished(message["state"]) is SupplyState.DESTROYED:
        return ()
    # Nothing is fetched for who may not supply.
    preparation.read(lambda tx, principal: access.find_node_number(tx, principal, message[NODE], Action.SUPPLY))
    return parameters.check_release(message["url"], preparation.tools.fetch)


def supply(call: Call) -> FieldAnswer:
    """Wish a release on a node, or no longer."""
    node, release = call.text(NODE), call.text("url")
    supplies.supply(call.tx, call.principal, node, release, wished(call.text("state")), call.now)
    note_warnings(call, node, release)
    return Plain("done")


def wished(text: str) -> SupplyState:
    """The state of a wish; available when nothing is said."""
    try:
        return SupplyState(text or "available")
    except ValueError as error:
        raise InputError(
            f"state: {text[:100]!r} is not one of {', '.join(SupplyState)}.",
            reference="invalid-state",
            context={"field": "state", "value": text[:100]},
        ) from error


def report_building(call: Call) -> FieldAnswer:
    """The node builds it."""
    return _report(call, SupplyReport.BUILDING, f"software release {call.text('url')} is building")


def report_available(call: Call) -> FieldAnswer:
    """The node has it."""
    return _report(call, SupplyReport.AVAILABLE, f"software release {call.text('url')} available")


def report_destroyed(call: Call) -> FieldAnswer:
    """The node no longer has it: forgotten."""
    return _report(call, SupplyReport.DESTROYED, f"software release {call.text('url')} destroyed")


def report_error(call: Call) -> FieldAnswer:
    """The node cannot build it."""
    return _report(
        call, SupplyReport.ERROR, log_end(call.text("error_log")) or f"error while installing {call.text('url')}"
    )


def _report(call: Call, reported: SupplyReport, sentence: str) -> FieldAnswer:
    node, release = call.text(NODE), call.text("url")
    check_supplied(supplies.list_supplies(call.tx, call.principal, node), node, release)
    supplies.report_supply(call.tx, call.principal, node, SupplyStatus(release, reported, sentence), call.now)
    return Plain("")


def log_end(log: str) -> str:
    """Of a log, the end says why."""
    return log if len(log) <= LOG_LIMIT else f"…{log[1 - LOG_LIMIT :]}"


def check_supplied(held: Sequence[Supply], node: str, release: str) -> Supply:
    """The supply of a release; :class:`NotFound` ``supply-not-found``."""
    for supply in held:
        if supply.release == release:
            return supply
    raise NotFound(
        f"{release} is not supplied on {node}.",
        reference="supply-not-found",
        context={"node": node, "release": release},
    )


def list_of_product(call: Call) -> FieldAnswer:
    """The releases of a product, the best first: by its name, or by one of them."""
    name, url = call.text("software_product_reference"), call.text("software_release_url")
    if not name and not url:
        raise InputError(
            "software_product_reference: missing, and software_release_url too.",
            reference="invalid-message",
            context={"field": "software_product_reference"},
            hint="Give one of them.",
        )
    products = call.tools.config.products
    names = {name} if name else {known for known, release in products if release == url}
    return Marshalled([release for known, release in products if known in names])


SUPPLIES = {
    "supplySupply": FieldRoute(supply, "POST", (*_RELEASE, Field("state", required=False)), prepare=prepare_supply),
    "buildingSoftwareRelease": FieldRoute(report_building, "POST", _RELEASE, acts=Acting.NODE),
    "availableSoftwareRelease": FieldRoute(report_available, "POST", _RELEASE, acts=Acting.NODE),
    "destroyedSoftwareRelease": FieldRoute(report_destroyed, "POST", _RELEASE, acts=Acting.NODE),
    "softwareReleaseError": FieldRoute(
        report_error, "POST", (*_RELEASE, Field("error_log", free=True)), acts=Acting.NODE
    ),
    "getSoftwareReleaseListFromSoftwareProduct": FieldRoute(
        list_of_product,
        "GET",
        (
            Field("software_product_reference", required=False),
            Field("software_release_url", required=False),
            Field("project_reference", required=False),
        ),
    ),
}
