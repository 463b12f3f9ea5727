"""What the words of an order mean, for the instance that there is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slapos.cli.carrying import remark
from slapos.cli.commands.request import find_instance, make_order, not_ready
from slapos.model.errors import InputError, NotFound
from slapos.model.objects import Instance
from slapos.model.states import InstanceState
from tests.unit.cli.test_views import INSTANCE

NOTHING: dict[str, Any] = {
    "software_type": None,
    "state": None,
    "shared": False,
    "sla": (),
    "parameters": (),
    "parameters_file": None,
    "force_serialisation": None,
}


@pytest.fixture
def release(tmp_path: Path) -> str:
    """A release without schema."""
    path = tmp_path / "software.cfg"
    path.write_text("[buildout]\nparts =\n")
    return str(path)


def test_new_one_needs_a_release(release: str) -> None:
    with pytest.raises(InputError) as caught:
        make_order("shop", None, NOTHING, None)
    assert caught.value.reference == "release-needed"
    order = make_order("shop", release, {**NOTHING, "parameters": ("a=1",)}, None)
    assert (order.software_type, order.parameters, order.sla, order.state) == ("default", {"a": "1"}, {}, None)


DESCRIPTOR = {
    "software-type": {"default": {"request": "in.json", "response": "out.json", "serialisation": "json-in-xml"}}
}


def test_a_master_that_does_not_check_makes_us_remark(release: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(f"{release}.json").write_text(json.dumps(DESCRIPTOR))
    schema = {"type": "object", "properties": {"port": {"type": "integer", "maximum": 9}}}
    Path(release).with_name("in.json").write_text(json.dumps(schema))
    remark(make_order("shop", release, {**NOTHING, "parameters": ("port:=7",)}, None))
    assert capsys.readouterr().err == ""
    remark(make_order("shop", release, {**NOTHING, "parameters": ("port:=70",)}, None))
    assert "the schema of the release does not allow this: " in capsys.readouterr().err
    remark(make_order("shop", release, {**NOTHING, "parameters": ("port:=7",), "software_type": "other"}, None))
    assert "does not describe the software type 'other'" in capsys.readouterr().err


def test_what_is_not_given_stays(release: str) -> None:
    known = replace(INSTANCE, release=release, software_type="mirror", parameters={"_": "{}"})
    order = make_order(known.title, None, {**NOTHING, "state": "stopped"}, known)
    assert order.release == release
    assert order.software_type == "mirror"
    assert order.parameters == {"_": "{}"}
    assert order.sla == known.sla
    assert order.state is InstanceState.STOPPED


def test_what_is_given_replaces_all_of_its_kind(release: str) -> None:
    known = replace(INSTANCE, release=release, parameters={"a": "1", "b": "2"})
    order = make_order(known.title, None, {**NOTHING, "parameters": ("a=3",), "sla": ("spread=x",)}, known)
    assert order.parameters == {"a": "3"}
    assert order.sla == {"spread": "x"}


@pytest.mark.parametrize(
    ("words", "forced", "carried"),
    [
        (("a=1",), None, {"a": "1"}),
        (("a:=1",), None, {"_": '{"a": 1}'}),
        (("a=1",), "json-in-xml", {"_": '{"a": "1"}'}),
        (("a:=1",), "xml", {"a": "1"}),
    ],
)
def test_without_a_schema_only_structures_need_one(
    release: str, words: tuple[str, ...], forced: str | None, carried: dict[str, str]
) -> None:
    order = make_order("x", release, {**NOTHING, "parameters": words, "force_serialisation": forced}, None)
    assert order.parameters == carried


@pytest.mark.parametrize("text", ["no-such-thing", "./missing.cfg"])
def test_unknown_release_is_refused_here(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "software/known").mkdir(parents=True)
    (tmp_path / "software/known/software.cfg").write_text("")
    monkeypatch.setenv("HYPEROPENX_CATALOGUE", str(tmp_path))
    with pytest.raises(InputError) as caught:
        make_order("x", text, NOTHING, None)
    assert caught.value.context["releases"] == ["known"]
    assert make_order("x", "known", NOTHING, None).release == str(tmp_path / "software/known/software.cfg")
    assert make_order("x", "https://example.org/a.cfg", NOTHING, None).release == "https://example.org/a.cfg"


def test_destroyed_one_counts_as_none() -> None:
    class Said:
        def __init__(self, said: Instance | Exception) -> None:
            self.said = said

        def instance(self, *, title: str) -> Instance:
            if isinstance(self.said, Exception):
                raise self.said
            return self.said

    found: Any = Said(INSTANCE)
    assert find_instance(found, "shop") == INSTANCE
    for said in (replace(INSTANCE, state=InstanceState.DESTROYED), NotFound("No.")):
        found = Said(said)
        assert find_instance(found, "shop") is None


def test_waiting_order_shows_its_reasons() -> None:
    error = not_ready(replace(INSTANCE, reasons=("all full",), sentence="No node is free."))
    assert error.exit_code == 75
    assert error.context == {"reasons": ["all full"]}
