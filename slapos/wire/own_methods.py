"""Our own methods: what the field's protocol lacks.  Objects travel as ``codec.to_data`` makes them."""

from __future__ import annotations

from collections.abc import Mapping

from slapos.model import objects
from slapos.wire.shapes import (
    COUNT,
    FLAG,
    INTEGER,
    NAME,
    OBJECT,
    TEXT,
    TEXTS,
    TITLE,
    Schema,
    array,
    message,
    one_of,
    results,
    shape_of,
)

INSTANCE = shape_of(objects.Instance)
NODE_VIEW = shape_of(objects.NodeView)
EMPTY = message({})
NODE = {"computer_guid": NAME}
GUID = {"instance_guid": NAME}
GENERATION = message({"generation": COUNT})

# Recursive, so the children are only said to be objects; the server makes each of them by the same function.
TREE = message({"instance": INSTANCE, "children": array(OBJECT)})
PEM: Schema = {"type": "string", "minLength": 1, "maxLength": 64 * 1024}
CERTIFICATE = message({"certificate": TEXT, "ca": TEXT}, {"reference": TEXT})
EVENT = shape_of(objects.Event)
USAGE = message(
    {"number": COUNT, "node": TEXT, "identifier": TEXT, "project": TEXT, "document": TEXT, "received": INTEGER}
)

SELECTED_INSTANCE: Schema = {
    **message({}, {"instance_guid": NAME, "title": TITLE, "computer_guid": NAME, "compute_partition_id": NAME}),
    "oneOf": [
        {"required": ["instance_guid"]},
        {"required": ["title"]},
        {"required": ["computer_guid", "compute_partition_id"]},
    ],
}
BANG: Schema = {
    **message({"message": TEXT}, {"instance_guid": NAME, "computer_guid": NAME}),
    "oneOf": [{"required": ["instance_guid"]}, {"required": ["computer_guid"]}],
}
REVOCATION: Schema = {
    **message({}, {"serial": NAME, "certificate": PEM}),
    "oneOf": [{"required": ["serial"]}, {"required": ["certificate"]}],
}

OF_INSTANCES: Mapping[str, tuple[Schema, Schema]] = {
    "hyperopenx.get.v0.instance": (SELECTED_INSTANCE, INSTANCE),
    "hyperopenx.get.v0.tree": (SELECTED_INSTANCE, TREE),
    "hyperopenx.allDocs.v0.instance_list": (EMPTY, results(INSTANCE)),
    "hyperopenx.post.v0.instance": (
        message(
            {"title": TITLE, "release": NAME},
            {
                "software_type": NAME,
                "parameters": TEXTS,
                "sla": TEXTS,
                "state": one_of("started", "stopped", "destroyed"),
                "shared": FLAG,
                "requester": NAME,
            },
        ),
        INSTANCE,
    ),
    "hyperopenx.put.v0.requested_children": (message({**GUID, "titles": array(TITLE)}), GENERATION),
    "hyperopenx.put.v0.connection": (message({**GUID, "connection": TEXTS}), GENERATION),
    "hyperopenx.put.v0.title": (message({**GUID, "title": TITLE}), INSTANCE),
    "hyperopenx.post.v0.bang": (BANG, GENERATION),
    "hyperopenx.allDocs.v0.event_list": (message({"subject": NAME}, {"since": COUNT, "limit": COUNT}), results(EVENT)),
}

OF_NODES: Mapping[str, tuple[Schema, Schema]] = {
    "hyperopenx.get.v0.node_state": (message(NODE, {"since": COUNT}), shape_of(objects.NodeState)),
    "hyperopenx.put.v0.node_report": (
        message(
            {
                **NODE,
                "instances": array(shape_of(objects.InstanceReport)),
                "supplies": array(shape_of(objects.SupplyStatus)),
            },
            {"plan": OBJECT, "online": FLAG},
        ),
        GENERATION,
    ),
    "hyperopenx.put.v0.node_format": (message({**NODE, "format": shape_of(objects.NodeFormat)}), GENERATION),
    "hyperopenx.get.v0.node": (message(NODE), NODE_VIEW),
    "hyperopenx.allDocs.v0.node_list": (EMPTY, results(NODE_VIEW)),
    "hyperopenx.get.v0.plan": (message(NODE), message({"date": COUNT, "plan": OBJECT})),
    "hyperopenx.post.v0.supply": (
        message({**NODE, "release": NAME}, {"state": one_of("available", "destroyed")}),
        shape_of(objects.Supply),
    ),
    "hyperopenx.post.v0.usage": (
        message({**NODE, "identifier": NAME, "document": TEXT}),
        message({"delivered": FLAG}),
    ),
    "hyperopenx.allDocs.v0.usage_list": (
        message({}, {"project": NAME, "since": COUNT, "limit": COUNT}),
        results(USAGE),
    ),
}

OF_CERTIFICATES: Mapping[str, tuple[Schema, Schema]] = {
    "hyperopenx.post.v0.enrolment_token": (
        message({"kind": one_of("node", "user", "operator")}, {"reference": NAME, "name": TITLE, "legacy_keys": FLAG}),
        message({"token": TEXT}),
    ),
    "hyperopenx.post.v0.enrolment": (message({"token": NAME, "csr": PEM}), CERTIFICATE),
    "hyperopenx.post.v0.certificate": (
        message({"kind": one_of("instance", "service"), "csr": PEM}, GUID),
        CERTIFICATE,
    ),
    "hyperopenx.post.v0.certificate_renewal": (
        message({"certificate": PEM, "csr": PEM, "signature": {**PEM, "maxLength": 2048}}),
        CERTIFICATE,
    ),
    "hyperopenx.post.v0.certificate_revocation": (REVOCATION, message({"serial": TEXT})),
}

OWN_METHODS: Mapping[str, tuple[Schema, Schema]] = {**OF_INSTANCES, **OF_NODES, **OF_CERTIFICATES}
