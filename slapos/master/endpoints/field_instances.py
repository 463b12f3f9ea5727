"""``slapos.*`` methods of instances (spec/02 §2)."""

from __future__ import annotations

from slapos.master import ordering
from slapos.master.calls import Answer, Call, Preparation, Route, Routes
from slapos.master.field.caller import Acting
from slapos.master.ordering import PreparedOrder
from slapos.master.services import instances, nodes
from slapos.model.errors import NotFound
from slapos.model.objects import Instance, InstanceReport
from slapos.model.states import Health, InstanceState
from slapos.wire.field_codec import (
    acknowledgement,
    instance_document,
    instance_or_not_ready,
    order_of,
    texts,
)

HEALTH_OF_REPORT = {
    InstanceState.STARTED: Health.OK,
    InstanceState.STOPPED: Health.STOPPED,
    InstanceState.DESTROYED: Health.DESTROYED,
}


def get_instance(call: Call) -> Answer:
    """By guid."""
    return Answer(instance_document(_named(call)))


def get_partition(call: Call) -> Answer:
    """The instance that lives in a partition."""
    node, partition = call.text("computer_guid"), call.text("compute_partition_id")
    return Answer(instance_document(instances.instance_of_partition(call.tx, call.principal, node, partition)))


def get_tree(call: Call) -> Answer:
    """The root with a title."""
    title = call.text("title")
    try:
        found = instances.find_instance_by_title(call.tx, call.principal, title)
    except NotFound as error:
        raise NotFound(f"There is no tree {title!r}.", reference="tree-not-found", context=error.context) from error
    return Answer(instance_or_not_ready(found))


def list_trees(call: Call) -> Answer:
    """Titles of the roots."""
    found = instances.list_roots(call.tx, call.principal)
    return Answer({"result_list": [{"title": instance.title} for instance in found]})


def list_shared(call: Call) -> Answer:
    """The shared instances that a host serves."""
    try:
        host = _named(call)
    except NotFound as error:
        raise NotFound(error.message, reference="no-such-host", context=error.context) from error
    found = instances.list_shared(call.tx, call.principal, host.guid)
    return Answer(
        {
            "result_list": [
                {
                    "instance_guid": shared.guid,
                    "title": shared.title,
                    "software_type": shared.software_type,
                    "state": shared.state.value,
                    "parameters": dict(shared.parameters),
                    "software_release_uri": host.release,
                    "compute_partition_id": host.partition,
                }
                for shared in found
            ]
        }
    )


def prepare_order(preparation: Preparation) -> PreparedOrder:
    """What must be known of an order before it is written; errors refuse it."""
    return ordering.prepare_order(preparation, order_of(preparation.message))


def post_instance(call: Call) -> Answer:
    """Order or change; the not-ready document while it is pending."""
    return Answer(instance_or_not_ready(ordering.place_order(call, order_of(call.message))))


def put_reported_state(call: Call) -> Answer:
    """A node reports what state an instance reached."""
    state = InstanceState(call.text("reported_state"))
    _report(call, HEALTH_OF_REPORT[state], f"Instance correctly {state.value}.", state.value)
    return Answer(acknowledgement(f"State changed to {state.value}"))


def put_error(call: Call) -> Answer:
    """A node, or the instance itself, reports an error."""
    _report(call, Health.ERROR, call.text("message"))
    return Answer(acknowledgement("Error reported"))


def put_bang(call: Call) -> Answer:
    """Process the tree again."""
    instances.bang_instance(call.tx, call.principal, call.text("instance_guid"), call.text("message"), call.now)
    return Answer(acknowledgement("Bang handled"))


def put_title(call: Call) -> Answer:
    """Rename."""
    instances.rename(call.tx, call.principal, call.text("instance_guid"), call.text("title"), call.now)
    return Answer(acknowledgement("Title changed"))


def put_connection(call: Call) -> Answer:
    """What an instance publishes."""
    values = texts(call.message["connection_parameter_dict"])
    instances.publish(call.tx, call.principal, call.text("instance_guid"), values, call.now)
    return Answer(acknowledgement("Connection parameters changed"))


def _named(call: Call) -> Instance:
    return instances.find_instance(call.tx, call.principal, call.text("instance_guid"))


def _report(call: Call, health: Health, sentence: str, state: str = "") -> None:
    instance = _named(call)
    report = InstanceReport(instance.guid, health, sentence, state, instance.timestamp, instance.promises)
    nodes.report(call.tx, call.principal, instance.node, [report], [], call.now)


ROUTES: Routes = {
    "slapos.get.v0.software_instance": Route(get_instance, brief=True),
    "slapos.get.v0.compute_partition": Route(get_partition, brief=True),
    "slapos.get.v0.instance_tree": Route(get_tree),
    "slapos.allDocs.v0.instance_tree_list": Route(list_trees),
    "slapos.allDocs.v0.instance_node_instance_list": Route(list_shared),
    "slapos.post.v0.software_instance": Route(
        post_instance, acts=Acting.PARTITION, repeated=True, prepare=prepare_order
    ),
    "slapos.put.v0.software_instance_reported_state": Route(put_reported_state, acts=Acting.NODE),
    "slapos.put.v0.software_instance_error": Route(put_error, acts=Acting.NODE),
    "slapos.put.v0.software_instance_bang": Route(put_bang),
    "slapos.put.v0.software_instance_title": Route(put_title),
    "slapos.put.v0.software_instance_connection_parameter": Route(put_connection, acts=Acting.PARTITION),
}
