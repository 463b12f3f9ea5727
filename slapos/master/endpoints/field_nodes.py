"""``slapos.*`` methods of nodes, installations, certificates and usage (spec/02 §2)."""

from __future__ import annotations

import hashlib

from lxml import etree
from sqlalchemy import select

from slapos.master import made_keys
from slapos.master.authorization import Action, Subject, check
from slapos.master.calls import Answer, Call, Route, Routes
from slapos.master.endpoints.nodes import note_warnings, prepare_supply
from slapos.master.field.caller import Acting
from slapos.master.hateoas import address
from slapos.master.services import access, identities, instances, nodes, supplies, usage
from slapos.master.storage import tables
from slapos.master.storage.identities import node_number
from slapos.model.errors import InputError, NotFound
from slapos.model.objects import SupplyStatus
from slapos.model.principal import Principal
from slapos.model.states import PrincipalKind, SupplyReport, SupplyState
from slapos.wire.field_codec import acknowledgement, format_of, node_status

# A private key is made where it is used, and stays there; but for who enrolled as a tool of the field.
WITHOUT_KEY = {"key": "", "certificate": ""}


def get_hateoas_url(call: Call) -> Answer:
    """Where the HATEOAS dialect begins, for this client."""
    return Answer({"hateoas_url": call.base + address.PATH})


def get_status(call: Call) -> Answer:
    """A node's last sign of life."""
    node = nodes.find_node(call.tx, call.principal, call.text("computer_guid"), call.now)
    if not node.seen:
        return Answer({"text": f"#error {node.reference} was never seen.", "no_data": 1})
    return Answer({"text": node_status(node, call.now), "seen": node.seen})


def list_instances(call: Call) -> Answer:
    """What lives in the partitions of a node."""
    found = instances.list_node_instances(call.tx, call.principal, call.text("computer_guid"))
    return Answer(
        {
            "result_list": [
                {
                    "instance_guid": instance.guid,
                    "title": instance.title,
                    "state": instance.state.value,
                    "compute_partition_id": instance.partition,
                    "software_release_uri": instance.release,
                }
                for instance in found
            ]
        }
    )


def list_installations(call: Call) -> Answer:
    """The releases wished on a node, or to be removed from it."""
    found = supplies.list_supplies(call.tx, call.principal, call.text("computer_guid"))
    items = [{"software_release_uri": supply.release, "state": supply.state.value} for supply in found]
    return Answer({"result_list": items})


def list_nodes(call: Call) -> Answer:
    """The nodes visible to the principal."""
    found = nodes.list_nodes(call.tx, call.principal, call.now)
    return Answer({"result_list": [{"computer_guid": node.reference} for node in found]})


def get_instance_certificate(call: Call) -> Answer:
    """Empty texts (see ``hyperopenx.post.v0.certificate``); of a node enrolled with --legacy-keys, a new pair."""
    guid = call.text("instance_guid")
    row = access.find_row(call.tx, call.principal, guid, Action.INSTANCE_CERTIFY)
    if row["gone"] is not None:
        raise access.no_instance(guid)
    if row["shared"] or not identities.makes_keys_for(call.tx, row["node"]):
        return Answer(dict(WITHOUT_KEY))
    return _pair(call, Principal(PrincipalKind.INSTANCE, guid), row["project"])


def post_certificate(call: Call) -> Answer:
    """Empty texts: a node enrols with a signing request; of one enrolled with --legacy-keys, a new pair."""
    node, project = call.text("computer_guid"), _project(call)
    check(call.principal, Action.TOKEN_CREATE, Subject(project=project))
    if not identities.makes_keys_for(call.tx, node_number(node)):
        return Answer(dict(WITHOUT_KEY))
    return _pair(call, Principal(PrincipalKind.NODE, node), project)


def remove_certificate(call: Call) -> Answer:
    """Revoke every certificate of a node."""
    reference = call.text("computer_guid")
    check(call.principal, Action.CERTIFICATE_REVOKE, Subject(project=_project(call), node=reference))
    table = tables.certificates
    live = select(table.c.serial).where(
        table.c.kind == PrincipalKind.NODE.value, table.c.reference == reference, table.c.revoked.is_(None)
    )
    for serial in call.tx.execute(live).scalars().all():
        identities.revoke_certificate(call.tx, call.principal, serial, call.now)
    return Answer(acknowledgement("Certificates revoked"))


def post_installation(call: Call) -> Answer:
    """Wish a release on a node, or no longer."""
    node, release = call.text("computer_guid"), call.text("software_release_uri")
    state = SupplyState(call.message.get("state", "available"))
    supplies.supply(call.tx, call.principal, node, release, state, call.now)
    note_warnings(call, node, release)
    return Answer(acknowledgement(f"State changed to {state.value}"))


def put_format(call: Call) -> Answer:
    """The partitions of a node; what was there before and is not named is gone."""
    nodes.format_node(call.tx, call.principal, call.text("computer_guid"), format_of(call.message), call.now)
    return Answer(acknowledgement("Content properly posted"))


def put_bang(call: Call) -> Answer:
    """Process everything on a node again."""
    nodes.bang_node(call.tx, call.principal, call.text("computer_guid"), call.text("message"), call.now)
    return Answer(acknowledgement("Bang handled"))


def post_usage(call: Call) -> Answer:
    """A usage document (well-formed XML); the same one again is kept once."""
    document = call.text("tioxml")
    try:
        etree.fromstring(document.encode(), etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise InputError(
            f"tioxml: {error}.", reference="invalid-usage", context={"field": "tioxml", "rule": "xml"}
        ) from error
    identifier = hashlib.sha256(document.encode()).hexdigest()
    usage.deliver(call.tx, call.principal, call.text("computer_guid"), identifier, document, call.now)
    return Answer(acknowledgement("Content properly posted"))


def put_reported_state(call: Call) -> Answer:
    """A node reports the state of a release; ``destroyed`` forgets it."""
    reported = SupplyReport(call.text("reported_state"))
    _report(call, reported, f"The release is {reported.value}.")
    return Answer(acknowledgement(f"State changed to {reported.value}"))


def put_error(call: Call) -> Answer:
    """A node reports that a release failed."""
    _report(call, SupplyReport.ERROR, call.text("message"))
    return Answer(acknowledgement("Error reported"))


def _pair(call: Call, holder: Principal, project: str) -> Answer:
    pair = made_keys.hand_out(call.tx, call.tools.authority, holder, project, call.now)
    return Answer({"key": pair.key, "certificate": pair.certificate})


def _report(call: Call, reported: SupplyReport, sentence: str) -> None:
    node, release = call.text("computer_guid"), call.text("software_release_uri")
    found = supplies.list_supplies(call.tx, call.principal, node)
    if release not in [supply.release for supply in found]:
        raise NotFound(
            f"{release} is not supplied on {node}.",
            reference="supply-not-found",
            context={"node": node, "release": release},
        )
    supplies.report_supply(call.tx, call.principal, node, SupplyStatus(release, reported, sentence), call.now)


def _project(call: Call) -> str:
    number = access.find_node_number(call.tx, call.principal, call.text("computer_guid"), Action.NODE_READ)
    return access.project_of_node(call.tx, number)


ROUTES: Routes = {
    "slapos.get.v0.hateoas_url": Route(get_hateoas_url),
    "slapos.get.v0.compute_node_status": Route(get_status),
    "slapos.get.v0.software_instance_certificate": Route(get_instance_certificate, writes=True, remembered=False),
    "slapos.allDocs.v0.compute_node_instance_list": Route(list_instances),
    "slapos.allDocs.v0.compute_node_software_installation_list": Route(list_installations),
    "slapos.allDocs.WIP.compute_node_list": Route(list_nodes),
    "slapos.post.v0.software_installation": Route(post_installation, prepare=prepare_supply),
    "slapos.post.v0.compute_node_certificate": Route(post_certificate, remembered=False),
    "slapos.remove.v0.compute_node_certificate": Route(remove_certificate, fences=True),
    "slapos.put.v0.compute_node_format": Route(put_format, acts=Acting.NODE),
    "slapos.put.v0.compute_node_bang": Route(put_bang),
    "slapos.post.v0.compute_node_usage": Route(post_usage, acts=Acting.NODE),
    "slapos.put.v0.software_installation_reported_state": Route(put_reported_state, acts=Acting.NODE),
    "slapos.put.v0.software_installation_error": Route(put_error, acts=Acting.NODE),
}
