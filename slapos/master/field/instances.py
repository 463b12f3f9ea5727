"""XML endpoints of instances, as their partitions and nodes call them (spec/01 §3.1, §3.4)."""

from __future__ import annotations

from slapos.master.authorization import Action, Subject, check
from slapos.master.calls import Call
from slapos.master.field.caller import Acting
from slapos.master.field.identification import named_guid
from slapos.master.field.routes import NODE, PARTITION, Field, FieldAnswer, FieldRoute, Marshalled, Plain
from slapos.master.field.supplies import log_end
from slapos.master.services import access, history, instances, reports
from slapos.master.services.changes import live_tree
from slapos.master.services.records import to_addresses
from slapos.master.storage.identities import node_number
from slapos.model.errors import InputError
from slapos.model.objects import Instance, InstanceReport
from slapos.model.states import Health, InstanceState, PrincipalKind
from slapos.wire import field_documents

HEALTH = {
    InstanceState.STARTED: Health.OK,
    InstanceState.STOPPED: Health.STOPPED,
    InstanceState.DESTROYED: Health.DESTROYED,
}
_HERE = (Field(NODE), Field(PARTITION))
_SHARED = Field("slave_reference", required=False)


def register_partition(call: Call) -> FieldAnswer:
    """A partition with what lives in it."""
    node, name = call.text("computer_reference"), call.text("computer_partition_reference")
    shown = instances.show_partition(call.tx, call.principal, node, name)
    return Marshalled(call.tools.partitions.written(node, shown, for_node=instances.sees_as_node(call.principal)))


def tree_addresses(call: Call) -> FieldAnswer:
    """(interface, ip) of all partitions of the tree: for firewalls."""
    row = access.find_row(call.tx, call.principal, _guid(call))
    found = [to_addresses(each["addresses"]) for each in live_tree(call.tx, row["tree"]) if not each["shared"]]
    return Marshalled([pair for addresses in found for pair in field_documents.ip_list(addresses)])


def report_started(call: Call) -> FieldAnswer:
    """It runs as wanted."""
    return _reached(call, InstanceState.STARTED)


def report_stopped(call: Call) -> FieldAnswer:
    """Its services do not run."""
    return _reached(call, InstanceState.STOPPED)


def report_destroyed(call: Call) -> FieldAnswer:
    """Nothing is left of it: its partition is free, whatever its children do."""
    return _reached(call, InstanceState.DESTROYED)


def report_error(call: Call) -> FieldAnswer:
    """Of an instance, or of a shared one that it serves."""
    _report(call, _named(call), Health.ERROR, log_end(call.text("error_log")) or "No reason was given.")
    return Plain("")


def bang(call: Call) -> FieldAnswer:
    """The whole tree is processed again."""
    instances.bang_instance(call.tx, call.principal, _guid(call), call.text("message"), call.now)
    return Plain("OK")


def rename(call: Call) -> FieldAnswer:
    """Another title."""
    guid = call.text("slave_reference") or _guid(call)
    instances.rename(call.tx, call.principal, guid, call.text("new_name"), call.now)
    return Plain("")


def publish(call: Call) -> FieldAnswer:
    """Connection parameters of an instance, or of a shared one that it serves."""
    values = field_documents.flat(call.message["connection_xml"], "connection_xml")
    guid = call.text("slave_reference") or _guid(call)
    instances.publish(call.tx, call.principal, guid, values, call.now)
    return Plain("done")


def set_children(call: Call) -> FieldAnswer:
    """All titles that were requested while it was processed; children with others are orphans."""
    titles = call.message["instance_reference_xml"]
    if not all(isinstance(title, str) for title in titles):
        raise field_documents.wrong_type("instance_reference_xml", titles, "a list of texts")
    instances.set_requested_children(call.tx, call.principal, _guid(call), list(titles), call.now)
    return Plain("")


def _guid(call: Call) -> str:
    """Of the instance in the partition that the call names."""
    return named_guid(call.tx, call.principal, call.text(NODE), call.text(PARTITION))


def _named(call: Call) -> Instance:
    """The same, or the shared instance that it serves and the call is about; with the right to see it."""
    host = _guid(call)
    shared = call.text("slave_reference")
    if not shared:
        return instances.find_instance(call.tx, call.principal, host)
    found = instances.find_instance(call.tx, call.principal, shared)
    if (found.node, found.partition) != (call.text(NODE), call.text(PARTITION)):
        raise InputError(
            f"slave_reference: {shared} is not served by {host}.",
            reference="not-served-here",
            context={"field": "slave_reference", "instance": shared, "host": host},
        )
    return found


def _reached(call: Call, state: InstanceState) -> FieldAnswer:
    instance = instances.find_instance(call.tx, call.principal, _guid(call))
    check(call.principal, Action.NODE_REPORT, Subject(project=instance.project, node=instance.node))
    _report(call, instance, HEALTH[state], f"Instance correctly {state.value}", state)
    return Plain("")


def _report(call: Call, instance: Instance, health: Health, sentence: str, state: str = "") -> None:
    """By the node, for itself by an instance, and by who may report as any node."""
    node = node_number(instance.node) or 0
    subject = Subject(project=instance.project, instance=instance.guid, node=instance.node)
    if call.principal.kind is PrincipalKind.INSTANCE:
        subject = access.subject_of(call.tx, call.principal, access.find_row(call.tx, call.principal, instance.guid))
    check(call.principal, Action.INSTANCE_REPORT, subject)
    said = InstanceReport(instance.guid, health, sentence, state, instance.timestamp, instance.promises)
    reports.record_reports(call.tx, node, [said], by=history.actor(call.principal), now=call.now)


INSTANCES = {
    "registerComputerPartition": FieldRoute(
        register_partition,
        "GET",
        (Field("computer_reference"), Field("computer_partition_reference")),
        acts=Acting.PARTITION,
        node="computer_reference",
        partition="computer_partition_reference",
        brief=True,
    ),
    "getHostingSubscriptionIpList": FieldRoute(tree_addresses, "GET", _HERE, acts=Acting.NODE),
    "startedComputerPartition": FieldRoute(report_started, "POST", _HERE, acts=Acting.NODE),
    "stoppedComputerPartition": FieldRoute(report_stopped, "POST", _HERE, acts=Acting.NODE),
    "destroyedComputerPartition": FieldRoute(report_destroyed, "POST", _HERE, acts=Acting.NODE),
    "softwareInstanceError": FieldRoute(
        report_error, "POST", (*_HERE, Field("error_log", free=True), _SHARED), acts=Acting.NODE
    ),
    "softwareInstanceBang": FieldRoute(bang, "POST", (*_HERE, Field("message", free=True)), acts=Acting.PARTITION),
    "softwareInstanceRename": FieldRoute(rename, "POST", (*_HERE, Field("new_name"), _SHARED), acts=Acting.PARTITION),
    "setComputerPartitionConnectionXml": FieldRoute(
        publish, "POST", (*_HERE, Field("connection_xml", kind=dict), _SHARED), acts=Acting.PARTITION
    ),
    "updateComputerPartitionRelatedInstanceList": FieldRoute(
        set_children,
        "POST",
        (*_HERE, Field("instance_reference_xml", kind=(list, tuple))),
        acts=Acting.PARTITION,
    ),
}
