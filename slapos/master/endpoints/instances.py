"""``hyperopenx.*`` methods of instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slapos.master import ordering
from slapos.master.calls import Answer, Call, Preparation, Route, Routes
from slapos.master.ordering import PreparedOrder
from slapos.master.services import history, instances
from slapos.master.storage.transaction import current_generation
from slapos.model.objects import Instance, InstanceRequest
from slapos.wire import codec

ACCEPTED = 202  # kept, not served yet


def get_instance(call: Call) -> Answer:
    """By guid, by title of a root, or by the partition where it lives."""
    return Answer(codec.instance_to_data(_selected(call)))


def get_tree(call: Call) -> Answer:
    """An instance and all below it, nested."""
    selected = _selected(call)
    below: dict[str, list[Instance]] = {}
    for instance in instances.tree(call.tx, call.principal, selected.guid):
        below.setdefault(instance.requester_guid, []).append(instance)
    return Answer(_nested(selected, below))


def list_instances(call: Call) -> Answer:
    """The roots visible to the principal."""
    found = instances.list_roots(call.tx, call.principal)
    return Answer({"result_list": [codec.instance_to_data(instance) for instance in found]})


def prepare_order(preparation: Preparation) -> PreparedOrder:
    """What must be known of an order before it is written; errors refuse it."""
    return ordering.prepare_order(preparation, *_order(preparation.message))


def post_instance(call: Call) -> Answer:
    """Order, or change by ordering again; 202 with the reasons while it is pending."""
    instance = ordering.place_order(call, *_order(call.message))
    return Answer(codec.instance_to_data(instance), 200 if instance.node else ACCEPTED)


def put_requested_children(call: Call) -> Answer:
    """Which children an instance still asks for."""
    titles = list(call.message["titles"])
    instances.set_requested_children(call.tx, call.principal, call.text("instance_guid"), titles, call.now)
    return done(call)


def put_connection(call: Call) -> Answer:
    """What an instance publishes."""
    instances.publish(call.tx, call.principal, call.text("instance_guid"), call.message["connection"], call.now)
    return done(call)


def put_title(call: Call) -> Answer:
    """Rename."""
    guid = call.text("instance_guid")
    instances.rename(call.tx, call.principal, guid, call.text("title"), call.now)
    return Answer(codec.instance_to_data(instances.find_instance(call.tx, call.principal, guid)))


def list_events(call: Call) -> Answer:
    """The history of an instance, a node or a supply."""
    since, limit = int(call.message.get("since", 0)), int(call.message.get("limit", 100))
    found = history.events(call.tx, call.principal, call.text("subject"), since, limit)
    return Answer({"result_list": [codec.to_data(event) for event in found]})


def done(call: Call) -> Answer:
    """The acknowledgement of a write: the generation that it was based on."""
    return Answer({"generation": current_generation(call.tx)})


def _selected(call: Call) -> Instance:
    if "instance_guid" in call.message:
        return instances.find_instance(call.tx, call.principal, call.text("instance_guid"))
    if "title" in call.message:
        return instances.find_instance_by_title(call.tx, call.principal, call.text("title"))
    node, partition = call.text("computer_guid"), call.text("compute_partition_id")
    return instances.instance_of_partition(call.tx, call.principal, node, partition)


def _nested(instance: Instance, below: dict[str, list[Instance]]) -> dict[str, Any]:
    children = [_nested(child, below) for child in below.get(instance.guid, ())]
    return {"instance": codec.instance_to_data(instance), "children": children}


def _order(message: Mapping[str, Any]) -> tuple[InstanceRequest, str | None]:
    """The order and the guid of the instance that asks."""
    order = {name: value for name, value in message.items() if name != "requester"}
    return codec.request_from_data(order), message.get("requester") or None


ROUTES: Routes = {
    "hyperopenx.get.v0.instance": Route(get_instance),
    "hyperopenx.get.v0.tree": Route(get_tree),
    "hyperopenx.allDocs.v0.instance_list": Route(list_instances),
    "hyperopenx.post.v0.instance": Route(post_instance, pending=True, repeated=True, prepare=prepare_order),
    "hyperopenx.put.v0.requested_children": Route(put_requested_children),
    "hyperopenx.put.v0.connection": Route(put_connection),
    "hyperopenx.put.v0.title": Route(put_title),
    "hyperopenx.allDocs.v0.event_list": Route(list_events),
}
