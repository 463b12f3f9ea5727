"""Parameters against the schema of their release, before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slapos.model.errors import InputError, NotFound
from slapos.model.objects import InstanceRequest
from slapos.model.states import InstanceState
from slapos.slap.client import Client
from slapos.testing.master import MasterServer

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"port": {"type": "integer", "minimum": 1024}, "title": {"type": "string"}},
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def described(releases: Path, master: MasterServer, operator: Client) -> str:
    """A supplied release with a schema."""
    directory = releases / "described"
    directory.mkdir()
    (directory / "software.cfg").write_text("[buildout]\n")
    (directory / "schema.json").write_text(json.dumps(SCHEMA))
    types = {"default": {"request": "schema.json", "response": "schema.json"}}
    (directory / "software.cfg.json").write_text(json.dumps({"serialisation": "xml", "software-type": types}))
    node, _ = master.client_for_new_node("schemas", 5)
    operator.supply(node, str(directory / "software.cfg"))
    return str(directory / "software.cfg")


@pytest.mark.parametrize(
    ("parameters", "field"),
    [({"port": "80"}, "port"), ({"port": "many"}, "port"), ({"prot": "8080"}, "prot")],
)
def test_the_field_and_the_rule_are_named(
    operator: Client, described: str, parameters: dict[str, str], field: str
) -> None:
    with pytest.raises(InputError) as caught:
        operator.request(InstanceRequest("wrong", described, parameters=parameters))
    assert caught.value.reference == "schema-violation"
    assert field in str(caught.value.context["field"])
    assert caught.value.context["rule"]
    with pytest.raises(NotFound):
        operator.instance(title="wrong")


def test_the_dialect_of_the_field_refuses_alike(operator: Client, described: str) -> None:
    message = {"title": "w", "software_release_uri": described, "software_type": "", "parameters": {"port": 80}}
    with pytest.raises(InputError) as caught:
        operator.call("slapos.post.v0.software_instance", message)
    assert "port" in caught.value.message


def test_right_parameters(operator: Client, described: str) -> None:
    assert operator.request(InstanceRequest("right", described, parameters={"port": "8080", "title": "${x}"})).node


def test_what_cannot_be_checked_is_accepted_with_a_warning(operator: Client, described: str) -> None:
    schema = Path(described).parent / "schema.json"
    text = schema.read_text()
    schema.write_text("{")
    try:
        with pytest.raises(InputError):  # broken is not unreachable
            operator.request(InstanceRequest("unchecked", described, parameters={"port": "1"}))
    finally:
        schema.write_text(text)


def test_an_unreachable_release_is_accepted_with_a_warning(tmp_path: Path) -> None:
    with MasterServer(tmp_path, allow_private_addresses=True) as master:
        operator = master.operator
        node, _ = master.client_for_new_node("n", 2)
        release = "http://127.0.0.1:9/software.cfg"  # nobody listens on the discard port
        operator.supply(node, release)
        warnings = [event for event in operator.history(f"{node} {release}") if event.kind == "warning"]
        assert len(warnings) == 1
        order = InstanceRequest("unreachable", release, parameters={"port": "1"})
        instance = operator.request(order)
        assert instance.node == node
        operator.request(order)
        warnings = [event for event in operator.history(instance.guid) if event.kind == "warning"]
        assert len(warnings) == 1
        assert release in warnings[0].sentence


def test_destruction_needs_no_valid_parameters(operator: Client, described: str) -> None:
    operator.request(InstanceRequest("doomed", described))
    request = InstanceRequest("doomed", described, parameters={"port": "no"}, state=InstanceState.DESTROYED)
    assert operator.request(request).state is InstanceState.DESTROYED
