"""The 24 stable JSON methods of the field, and one experimental (spec/02 §2): request and answer of each."""

from __future__ import annotations

from collections.abc import Mapping

from slapos.wire.shapes import (
    FLAG,
    INTEGER,
    NAME,
    OBJECT,
    TEXT,
    TITLE,
    Schema,
    array,
    message,
    one_of,
    open_message,
    results,
)

INSTANCE_STATE = one_of("started", "stopped", "destroyed")
SUPPLY_STATE = one_of("available", "destroyed")
EMPTY = message({})

INSTANCE = message(
    {
        "title": TEXT,
        "instance_guid": TEXT,
        "software_release_uri": TEXT,
        "software_type": TEXT,
        "state": INSTANCE_STATE,
        "connection_parameters": OBJECT,
        "parameters": OBJECT,
        "shared": FLAG,
        "root_instance_title": TEXT,
        "ip_list": array(array(TEXT)),
        "full_ip_list": array(array(TEXT)),
        "sla_parameters": OBJECT,
        "computer_guid": TEXT,
        "compute_partition_id": TEXT,
        "processing_timestamp": INTEGER,
        "access_status_message": TEXT,
    }
)
NOT_READY_DOCUMENT = {"message": "Software Instance Not Ready", "name": "SoftwareInstanceNotReady", "status": 102}
NOT_READY = message({name: {"const": value} for name, value in NOT_READY_DOCUMENT.items()})
INSTANCE_OR_NOT_READY = {"if": {"required": ["name"]}, "then": NOT_READY, "else": INSTANCE}
ACKNOWLEDGEMENT = message({"type": {"const": "success"}, "title": TEXT})
KEY_AND_CERTIFICATE = message({"key": TEXT, "certificate": TEXT})

NODE = {"computer_guid": NAME}
GUID = {"instance_guid": NAME}
SUPPLY = {"software_release_uri": NAME, "computer_guid": NAME}

SLA = {
    "type": "object",
    "properties": {
        "project_guid": TEXT,
        "computer_guid": TEXT,
        "instance_guid": TEXT,
        "network_guid": TEXT,
        "retention_delay": {"type": "number"},
    },
    "additionalProperties": TEXT,
}
FORMAT_ADDRESS = open_message(
    {"ip-address": NAME},
    {"netmask": TEXT, "network-interface": TEXT, "gateway-ip-address": TEXT, "network-address": TEXT},
)
FORMAT_PARTITION = open_message(
    {"partition_id": NAME}, {"ip_list": array(FORMAT_ADDRESS), "capability_list": array(TEXT)}
)

LISTED_INSTANCE = message(
    {"instance_guid": TEXT, "title": TEXT, "state": INSTANCE_STATE},
    {"compute_partition_id": TEXT, "software_release_uri": TEXT},
)
LISTED_SHARED = message(
    {"instance_guid": TEXT, "title": TEXT, "software_type": TEXT, "state": INSTANCE_STATE, "parameters": OBJECT},
    {"software_release_uri": TEXT, "compute_partition_id": TEXT},
)

READING: Mapping[str, tuple[Schema, Schema]] = {
    "slapos.get.v0.hateoas_url": (EMPTY, message({"hateoas_url": TEXT})),
    "slapos.get.v0.compute_node_status": (message(NODE), open_message({"text": TEXT})),
    "slapos.get.v0.software_instance": (message(GUID), INSTANCE),
    "slapos.get.v0.compute_partition": (message({**NODE, "compute_partition_id": NAME}), INSTANCE),
    "slapos.get.v0.instance_tree": (message({"title": TITLE}), INSTANCE_OR_NOT_READY),
    "slapos.get.v0.software_instance_certificate": (message(GUID), KEY_AND_CERTIFICATE),
    "slapos.allDocs.v0.compute_node_instance_list": (message(NODE), results(LISTED_INSTANCE)),
    "slapos.allDocs.v0.compute_node_software_installation_list": (
        message(NODE),
        results(message({"software_release_uri": TEXT, "state": SUPPLY_STATE})),
    ),
    "slapos.allDocs.v0.instance_node_instance_list": (message(GUID), results(LISTED_SHARED)),
    "slapos.allDocs.v0.instance_tree_list": (EMPTY, results(message({"title": TEXT}))),
    "slapos.allDocs.WIP.compute_node_list": (EMPTY, results(message({"computer_guid": TEXT}))),
}

REQUESTING: Mapping[str, tuple[Schema, Schema]] = {
    "slapos.post.v0.software_instance": (
        message(
            {"title": TITLE, "software_release_uri": NAME, "software_type": TEXT},
            {"parameters": OBJECT, "state": INSTANCE_STATE, "shared": FLAG, "sla_parameters": SLA},
        ),
        INSTANCE_OR_NOT_READY,
    ),
    "slapos.post.v0.software_installation": (message(SUPPLY, {"state": SUPPLY_STATE}), ACKNOWLEDGEMENT),
    "slapos.post.v0.compute_node_certificate": (message(NODE), KEY_AND_CERTIFICATE),
    "slapos.remove.v0.compute_node_certificate": (message(NODE), ACKNOWLEDGEMENT),
}

REPORTING: Mapping[str, tuple[Schema, Schema]] = {
    "slapos.put.v0.compute_node_format": (
        message({**NODE, "compute_partition_list": array(FORMAT_PARTITION)}),
        ACKNOWLEDGEMENT,
    ),
    "slapos.put.v0.compute_node_bang": (message({**NODE, "message": TEXT}), ACKNOWLEDGEMENT),
    "slapos.post.v0.compute_node_usage": (message({**NODE, "tioxml": TEXT}), ACKNOWLEDGEMENT),
    "slapos.put.v0.software_installation_reported_state": (
        message({**SUPPLY, "reported_state": one_of("available", "building", "destroyed")}),
        ACKNOWLEDGEMENT,
    ),
    "slapos.put.v0.software_installation_error": (message({**SUPPLY, "message": TEXT}), ACKNOWLEDGEMENT),
    "slapos.put.v0.software_instance_reported_state": (
        message({**GUID, "reported_state": INSTANCE_STATE}),
        ACKNOWLEDGEMENT,
    ),
    "slapos.put.v0.software_instance_error": (message({**GUID, "message": TEXT}), ACKNOWLEDGEMENT),
    "slapos.put.v0.software_instance_bang": (message({**GUID, "message": TEXT}), ACKNOWLEDGEMENT),
    "slapos.put.v0.software_instance_title": (message({**GUID, "title": TITLE}), ACKNOWLEDGEMENT),
    "slapos.put.v0.software_instance_connection_parameter": (
        message({**GUID, "connection_parameter_dict": OBJECT}),
        ACKNOWLEDGEMENT,
    ),
}

FIELD_METHODS: Mapping[str, tuple[Schema, Schema]] = {**READING, **REQUESTING, **REPORTING}
