"""Every object of the model survives the journey, and only such data is taken for one."""

from __future__ import annotations

import dataclasses
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slapos.model import objects
from slapos.model.errors import InputError
from slapos.wire import codec, strict_json
from slapos.wire.shapes import shape_of

KINDS = [
    objects.Address,
    objects.Partition,
    objects.NodeFormat,
    objects.InstanceRequest,
    objects.SharedInstance,
    objects.PromiseResult,
    objects.Instance,
    objects.Supply,
    objects.NodeView,
    objects.NodeState,
    objects.InstanceReport,
    objects.SupplyStatus,
    objects.Event,
]


def test_every_dataclass_of_the_model_is_tested() -> None:
    defined = {value for value in vars(objects).values() if isinstance(value, type) and dataclasses.is_dataclass(value)}
    assert defined == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_round_trip_and_schema(kind: type[Any], data: st.DataObject) -> None:
    value = data.draw(st.builds(kind, **_overrides(kind)))
    travelled = strict_json.loads(strict_json.dumps(codec.to_data(value)))
    assert codec.from_data(kind, travelled) == value
    jsonschema.Draft7Validator(shape_of(kind)).validate(travelled)


def _overrides(kind: type[Any]) -> dict[str, Any]:
    """``Mapping[str, Any]`` holds JSON here; floats are finite."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if "Any" in str(field.type):
            found[field.name] = st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans()))
        elif field.type == "float":
            found[field.name] = st.floats(allow_nan=False, allow_infinity=False)
        elif "PromiseResult" in str(field.type):
            found[field.name] = st.lists(st.builds(objects.PromiseResult, seconds=st.floats(0, 10)), max_size=2).map(
                tuple
            )
        elif "tuple[Supply" in str(field.type):
            supply = st.builds(objects.Supply, **_overrides(objects.Supply))
            found[field.name] = st.lists(supply, max_size=2).map(tuple)
        elif "Instance | None" in str(field.type):
            found[field.name] = st.dictionaries(
                st.text(max_size=3), st.none() | st.builds(objects.Instance, **_overrides(objects.Instance)), max_size=2
            )
    return found


REPORT = {
    "guid": "SOFTINST-1",
    "health": "ok",
    "sentence": "",
    "promises": [{"name": "p", "ok": True, "message": "", "date": 1}],
}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"guid": 1}, "guid"),
        ({"guid": None}, "guid"),
        ({"health": "fine"}, "health"),
        ({"health": ["ok"]}, "health"),
        ({"timestamp": True}, "timestamp"),
        ({"timestamp": 1.5}, "timestamp"),
        ({"promises": {}}, "promises"),
        ({"promises": [{"name": "p", "ok": 1, "message": "", "date": 1}]}, "promises[0].ok"),
        ({"promises": [{"name": "p"}]}, "promises[0].ok"),
        ({"promises": [7]}, "promises[0]"),
        ({"extra": 1}, "extra"),
    ],
)
def test_wrong_data_names_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        codec.from_data(objects.InstanceReport, {**REPORT, **change})
    assert caught.value.context["field"] == field
    assert caught.value.reference == "invalid-message"


def test_hostile_parameters_come_back_equal() -> None:
    hostile = {"a": "${buildout:directory} {{ x }} %(y)s \"'\\ \t\r\n 😀 </a>", "": "", "${k}": " "}
    request = objects.InstanceRequest("t", "/r", parameters=hostile)
    data = strict_json.loads(strict_json.dumps(codec.request_to_data(request)))
    assert codec.request_from_data(data) == request
    assert list(data["parameters"]) == list(hostile)
