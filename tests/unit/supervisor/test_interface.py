"""What may be run as a service, and when a process may go on under another spec."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slapos.model.errors import InputError
from slapos.node.supervisor.interface import ServiceSpec, check_spec, runs_the_same, spec_from_data

SPEC = ServiceSpec(partition="slappart0", name="nginx", command=("/bin/true",), directory="/", log="/var/log/x")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "x\n[program:y]"}, "name"),
        ({"name": "100%s"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "../x"}, "name"),
        ({"name": "a b"}, "name"),
        ({"partition": "a:b"}, "partition"),
        ({"command": ()}, "command"),
        ({"command": ("nginx",)}, "command"),
        ({"command": ("/bin/x", "a\0b")}, "command"),
        ({"directory": "relative"}, "directory"),
        ({"log": "relative"}, "log"),
        ({"environment": {"A=B": "c"}}, "environment"),
        ({"environment": {"": "c"}}, "environment"),
        ({"stop_seconds": -1}, "stop_seconds"),
        ({"digest": "x" * 1000}, "digest"),
    ],
)
def test_what_cannot_be_run_safely_is_refused_with_its_field(change: dict, field: str) -> None:
    with pytest.raises(InputError) as caught:
        check_spec(dataclasses.replace(SPEC, **change))
    assert caught.value.reference == "invalid-service"
    assert caught.value.context["field"] == field


def test_data_that_is_no_service_is_refused() -> None:
    for data in ({}, {"command": 3}, {**SPEC.as_data(), "unknown": 1}):
        with pytest.raises(InputError):
            spec_from_data(data)


@settings(database=None)
@given(st.lists(st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)))))
def test_arguments_travel_unchanged(arguments: list[str]) -> None:
    spec = dataclasses.replace(SPEC, command=("/bin/x", *arguments))
    assert spec_from_data(json.loads(json.dumps(spec.as_data()))) == spec


@pytest.mark.parametrize("field", ["command", "directory", "user", "environment", "digest", "umask"])
def test_another_process_is_needed(field: str) -> None:
    values = {"command": ("/bin/false",), "environment": {"A": "b"}, "umask": 0}
    assert not runs_the_same(SPEC, dataclasses.replace(SPEC, **{field: values.get(field, "/other")}))


@pytest.mark.parametrize("change", [{"reload_digest": "x"}, {"stop_seconds": 1.0}, {"watched": False}])
def test_the_process_may_go_on(change: dict) -> None:
    assert runs_the_same(SPEC, dataclasses.replace(SPEC, **change))
