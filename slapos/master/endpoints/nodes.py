"""``hyperopenx.*`` methods of nodes and their supplies, and bang."""

from __future__ import annotations

from slapos.master import parameters
from slapos.master.authorization import Action
from slapos.master.calls import Answer, Call, Preparation, Route, Routes
from slapos.master.endpoints.instances import done
from slapos.master.services import access, history, instances, nodes, supplies
from slapos.master.storage.identities import node_number
from slapos.model.objects import InstanceReport, NodeFormat, SupplyStatus
from slapos.model.states import SupplyState
from slapos.wire import codec


def get_state(call: Call) -> Answer:
    """What a node must bring about since a generation."""
    since = int(call.message.get("since", 0))
    state = nodes.node_state(call.tx, call.principal, call.text("computer_guid"), since)
    return Answer(codec.node_state_to_data(state))


def put_report(call: Call) -> Answer:
    """What a node says after a cycle; its plan, when it sends one, is kept for people."""
    node = call.text("computer_guid")
    of_instances = [
        codec.from_data(InstanceReport, item, f"instances[{index}]")
        for index, item in enumerate(call.message["instances"])
    ]
    of_supplies = [
        codec.from_data(SupplyStatus, item, f"supplies[{index}]") for index, item in enumerate(call.message["supplies"])
    ]
    nodes.report(call.tx, call.principal, node, of_instances, of_supplies, call.now)
    if "plan" in call.message:
        nodes.keep_plan(call.tx, call.principal, node, call.message["plan"], call.now)
    return done(call)


def put_format(call: Call) -> Answer:
    """The partitions of a node."""
    node_format = codec.from_data(NodeFormat, call.message["format"], "format")
    nodes.format_node(call.tx, call.principal, call.text("computer_guid"), node_format, call.now)
    return done(call)


def get_node(call: Call) -> Answer:
    """One node with its supplies."""
    return Answer(codec.to_data(nodes.find_node(call.tx, call.principal, call.text("computer_guid"), call.now)))


def list_nodes(call: Call) -> Answer:
    """The nodes visible to the principal, without their supplies."""
    found = nodes.list_nodes(call.tx, call.principal, call.now)
    return Answer({"result_list": [codec.to_data(node) for node in found]})


def get_plan(call: Call) -> Answer:
    """The last plan that a node reported, and when."""
    return Answer(nodes.last_plan(call.tx, call.principal, call.text("computer_guid")))


def prepare_supply(preparation: Preparation) -> tuple[str, ...]:
    """Warnings about the release; an error when it does not exist, or lies where it must not."""
    message = preparation.message
    if message.get("state") == SupplyState.DESTROYED.value:
        return ()
    node = str(message["computer_guid"])
    # Nothing is fetched for who may not supply.
    preparation.read(lambda tx, principal: access.find_node_number(tx, principal, node, Action.SUPPLY))
    release = str(message.get("release") or message.get("software_release_uri"))
    return parameters.check_release(release, preparation.tools.fetch)


def post_supply(call: Call) -> Answer:
    """Wish a release on a node, or no longer."""
    node, release = call.text("computer_guid"), call.text("release")
    state = SupplyState(call.message.get("state", "available"))
    supply = supplies.supply(call.tx, call.principal, node, release, state, call.now)
    note_warnings(call, node, release)
    return Answer(codec.to_data(supply))


def note_warnings(call: Call, node: str, release: str) -> None:
    """Keep the warnings of the preparation in the history of the supply."""
    number = node_number(node)
    if not call.prepared or number is None:
        return
    project = access.project_of_node(call.tx, number)
    for sentence in call.prepared:
        about = (project, f"{node} {release}")
        history.record(call.tx, about, "warning", sentence, by=history.actor(call.principal), now=call.now)


def post_bang(call: Call) -> Answer:
    """Have an instance's tree, or all that lives on a node, processed again."""
    message = call.text("message")
    if "computer_guid" in call.message:
        nodes.bang_node(call.tx, call.principal, call.text("computer_guid"), message, call.now)
    else:
        instances.bang_instance(call.tx, call.principal, call.text("instance_guid"), message, call.now)
    return done(call)


ROUTES: Routes = {
    "hyperopenx.get.v0.node_state": Route(get_state),
    "hyperopenx.put.v0.node_report": Route(put_report),
    "hyperopenx.put.v0.node_format": Route(put_format),
    "hyperopenx.get.v0.node": Route(get_node),
    "hyperopenx.allDocs.v0.node_list": Route(list_nodes),
    "hyperopenx.get.v0.plan": Route(get_plan),
    "hyperopenx.post.v0.supply": Route(post_supply, prepare=prepare_supply),
    "hyperopenx.post.v0.bang": Route(post_bang),
}
