"""The 24 stable methods of spec/02, each called over TLS; bodies exactly as specified."""

from __future__ import annotations

from typing import Any

import pytest

from slapos.model.errors import InputError, Refused
from slapos.slap.client import Client
from slapos.testing.master import MasterServer
from slapos.wire.field_methods import FIELD_METHODS

CALLED: set[str] = set()


class Field:
    """Calls methods of the field and remembers which."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def __call__(self, name: str, **message: Any) -> dict[str, Any]:
        CALLED.add(f"slapos.{name}")
        return self.client.call(f"slapos.{name}", message)


@pytest.fixture(scope="module")
def field(operator: Client) -> Field:
    return Field(operator)


@pytest.fixture(scope="module")
def node(master: MasterServer, release: str, field: Field) -> tuple[str, Field]:
    reference, client = master.client_for_new_node("field")
    own = Field(client)
    partitions = [
        {"partition_id": f"slappart{i}", "ip_list": [{"ip-address": f"10.0.0.{i}", "network-interface": "tap"}], "x": 1}
        for i in range(5)
    ]
    assert own("put.v0.compute_node_format", computer_guid=reference, compute_partition_list=partitions) == {
        "type": "success",
        "title": "Content properly posted",
    }
    field("post.v0.software_installation", computer_guid=reference, software_release_uri=release)
    for state in ("building", "available"):
        own(
            "put.v0.software_installation_reported_state",
            computer_guid=reference,
            software_release_uri=release,
            reported_state=state,
        )
    return reference, own


def _order(field: Field, title: str, release: str, **members: Any) -> dict[str, Any]:
    return field(
        "post.v0.software_instance", title=title, software_release_uri=release, software_type="default", **members
    )


def test_instances(field: Field, node: tuple[str, Field], release: str) -> None:
    reference, own = node
    made = _order(
        field, "one", release, parameters={"n": 2, "d": {"b": 1}}, sla_parameters={"computer_guid": reference}
    )
    guid = made["instance_guid"]
    assert made["parameters"] == {"n": "2", "d": '{"b": 1}'}
    assert made["ip_list"] == [["tap", f"10.0.0.{made['compute_partition_id'][-1]}"]]
    assert isinstance(made["processing_timestamp"], int)
    assert field("get.v0.software_instance", instance_guid=guid) == made
    place = {"computer_guid": reference, "compute_partition_id": made["compute_partition_id"]}
    assert own("get.v0.compute_partition", **place) == made
    assert field("get.v0.instance_tree", title="one") == made
    assert {"title": "one"} in field("allDocs.v0.instance_tree_list")["result_list"]
    listed = own("allDocs.v0.compute_node_instance_list", computer_guid=reference)["result_list"]
    assert [item["instance_guid"] for item in listed] == [guid]
    assert field("get.v0.software_instance_certificate", instance_guid=guid) == {"key": "", "certificate": ""}
    own("put.v0.software_instance_reported_state", instance_guid=guid, reported_state="started")
    assert field("get.v0.software_instance", instance_guid=guid)["access_status_message"].startswith("#access")
    own("put.v0.software_instance_error", instance_guid=guid, message="broken")
    assert field("get.v0.software_instance", instance_guid=guid)["access_status_message"] == "#error broken"
    own("put.v0.software_instance_bang", instance_guid=guid, message="again")
    assert field("get.v0.software_instance", instance_guid=guid)["processing_timestamp"] > made["processing_timestamp"]
    field("put.v0.software_instance_title", instance_guid=guid, title="uno")
    field("put.v0.software_instance_connection_parameter", instance_guid=guid, connection_parameter_dict={"a": 1})
    after = field("get.v0.software_instance", instance_guid=guid)
    assert (after["title"], after["connection_parameters"]) == ("uno", {"a": "1"})


def test_shared_instances(field: Field, node: tuple[str, Field], release: str) -> None:
    host = _order(field, "host", release)
    guid = host["instance_guid"]
    parameters, sla = {"url": "x"}, {"instance_guid": guid}
    shared = _order(field, "guest", release, shared=True, parameters=parameters, sla_parameters=sla)
    assert shared["shared"] is True
    listed = field("allDocs.v0.instance_node_instance_list", instance_guid=guid)["result_list"]
    assert next(item for item in listed if item["title"] == "guest")["parameters"] == {"url": "x"}


def test_nodes(field: Field, node: tuple[str, Field], release: str) -> None:
    reference, own = node
    assert field("get.v0.hateoas_url")["hateoas_url"] == f"{field.client.master_url}/hateoas/"
    assert {"computer_guid": reference} in field("allDocs.WIP.compute_node_list")["result_list"]
    assert field("get.v0.compute_node_status", computer_guid=reference)["text"].startswith("#access")
    assert own("allDocs.v0.compute_node_software_installation_list", computer_guid=reference) == {
        "result_list": [{"software_release_uri": release, "state": "available"}]
    }
    own("put.v0.software_installation_error", computer_guid=reference, software_release_uri=release, message="no")
    own("put.v0.compute_node_bang", computer_guid=reference, message="again")
    own("post.v0.compute_node_usage", computer_guid=reference, tioxml="<journal/>")
    with pytest.raises(InputError) as caught:
        own("post.v0.compute_node_usage", computer_guid=reference, tioxml="<journal>")
    assert caught.value.context == {"status": 400, "type": "INVALIDATE_TIOXML"}


def test_certificates_of_a_node(master: MasterServer, field: Field) -> None:
    reference, client = master.client_for_new_node("to revoke")
    assert client.node(reference).reference == reference
    answer = field("post.v0.compute_node_certificate", computer_guid=reference)
    assert answer == {"key": "", "certificate": ""}
    field("remove.v0.compute_node_certificate", computer_guid=reference)
    with pytest.raises(Refused) as caught:
        client.node(reference)
    assert caught.value.reference == "certificate-revoked"


@pytest.mark.parametrize(
    ("name", "message", "code"),
    [
        ("get.v0.software_instance", {"instance_guid": "SOFTINST-999"}, "SOFTWARE-INSTANCE-NOT-FOUND"),
        ("get.v0.instance_tree", {"title": "none"}, "INSTANCE-TREE-NOT-FOUND"),
        ("allDocs.v0.instance_node_instance_list", {"instance_guid": "SOFTINST-999"}, "HOST-INSTANCE-NOT-FOUND"),
        ("get.v0.compute_node_status", {"computer_guid": "COMP-999"}, "COMPUTE-NODE-NOT-FOUND"),
    ],
)
def test_what_does_not_exist_is_403(field: Field, name: str, message: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as caught:
        field(name, **message)
    assert caught.value.context == {"status": 403, "type": code}


def test_destroyed_is_reported_only_when_it_was_wished(field: Field, node: tuple[str, Field], release: str) -> None:
    reference, own = node
    with pytest.raises(Refused) as caught:
        own(
            "put.v0.software_installation_reported_state",
            computer_guid=reference,
            software_release_uri=release,
            reported_state="destroyed",
        )
    assert caught.value.context["type"] == "SOFTWARE-INSTALLATION-DESTROY-NOT-REQUESTED"


def test_every_method_was_called() -> None:
    assert set(FIELD_METHODS) - CALLED == set()
