"""Parameters that break the schema, and hostile ones: refused with the field, or data all the way and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slapos.cli.parameters import carried_values
from slapos.model.states import SupplyReport
from tests.functional.bad_input.harness import Bench, Said
from tests.functional.node.harness import page

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 10},
        "port": {"type": "integer", "minimum": 1024},
        "mode": {"enum": ["fast", "safe"]},
    },
    "required": ["title"],
    "additionalProperties": False,
}
HOSTILE = (
    "${buildout:directory} $${x} {{ 1 + 1 }} {% raw %} %(x)s %(__buildout_space_n__)s 'single' \"double\" \\ back\n"
    "second line; touch evil #\r\n\ttab  two spaces $(touch evil) `touch evil` $HOME !json! [x]\n<= y 🙂 é \u2028 "
)
NESTED = {"${buildout:directory}": [HOSTILE, {"{{ x }}": "%(x)s"}], "": "\n", "number": 1.5, "nothing": None}
MEGABYTE = "m" * 1024 * 1024


@pytest.fixture(scope="module")
def echo(bench: Bench) -> str:
    """The release that gives back what it is given, built."""
    release = bench.release("echo")
    bench.supply(release)
    bench.settled(release, SupplyReport.AVAILABLE)
    return release


@pytest.fixture(scope="module")
def described(bench: Bench) -> str:
    """A release with a schema, supplied."""
    release = bench.new_release("described", "[buildout]\nparts =\n")
    types = {"default": {"request": "schema.json", "response": "schema.json"}}
    Path(bench.release("described", "schema.json")).write_text(json.dumps(SCHEMA))
    Path(bench.release("described", "software.cfg.json")).write_text(
        json.dumps({"serialisation": "xml", "software-type": types})
    )
    bench.supply(release)
    return release


@pytest.mark.parametrize(
    ("words", "field", "rule"),
    [
        (["title=x", "port=80"], "$.port", "minimum 1024"),
        (["title=x", "port=many"], "$.port", "type integer"),
        (["title=x", "prot=8080"], "$.prot", "additionalProperties"),
        (["port=8080"], "$.title", "required"),
        (["title=far too long a title"], "$.title", "maxLength 10"),
        (["title=x", "mode=slow"], "$.mode", 'enum ["fast", "safe"]'),
    ],
)
def test_broken_schema_is_told_before_anything_is_written(
    bench: Bench, described: str, words: list[str], field: str, rule: str
) -> None:
    said = bench.person.json("request", "wrong", described, "--parameters", *words)
    assert (said.code, said.error["reference"]) == (2, "schema-violation")
    assert (said.error["context"]["field"], said.error["context"]["rule"]) == (field, rule)
    assert said.error["message"].startswith(f"Parameter {field}: ")
    assert "input schema says what is allowed" in said.error["hint"]


def test_broken_order_changes_nothing(bench: Bench, described: str) -> None:
    assert bench.person.json("service", "info", "wrong").error["reference"] == "no-such-instance"
    order = ("request", "right", described, "--parameters")
    bench.person.json(*order, "title=kept", "port=8080")
    assert bench.info("right")["parameters"] == {"title": "kept", "port": "8080"}
    assert bench.person.slapos(*order, "title=other", "port=1").code == 2
    assert bench.info("right")["parameters"] == {"title": "kept", "port": "8080"}
    bench.destroy("right")


def order(bench: Bench, echo: str, parameters: dict[str, Any], *words: str) -> Said:
    """The file is written by hand so that it may hold what no file should."""
    file = bench.directory / "order.json"
    file.write_text(json.dumps(parameters))
    return bench.person.json("request", "echo", echo, "--parameters-file", str(file), *words)


def came_back(bench: Bench, said: Said, parameters: dict[str, Any]) -> None:
    """By every way, unchanged, and nothing was done on the way."""
    assert carried_values(said.data["parameters"]) == parameters
    assert bench.info("echo")["parameters"] == said.data["parameters"]
    instance = bench.operator.instance(title="echo")
    assert json.loads(instance.connection["_"])["given"] == parameters
    served = page(_with_url(instance))
    assert (served["text"], served["greeting"]) == (parameters, parameters.get("word", ""))
    evil = [path for path in Path(bench.node.partition(instance)).rglob("evil*")]
    assert evil == []


def _with_url(instance: Any) -> Any:
    instance.connection["url"] = json.loads(instance.connection["_"])["url"]
    return instance


def test_hostile_parameters_are_data(bench: Bench, echo: str) -> None:
    parameters = {"text": HOSTILE, "word": HOSTILE, "nested": NESTED}
    came_back(bench, order(bench, echo, parameters, "--wait"), parameters)
    again = bench.person.json("node", "instance", "--only", bench.info("echo")["partition"]).data
    assert [item["actions"] for item in again] == [[]]
    shown = bench.person.slapos("service", "info", "echo")
    assert shown.code == 0
    assert "${buildout:directory} $${x} {{ 1 + 1 }}" in shown.out


def test_hostile_words_of_the_command_line(bench: Bench, echo: str) -> None:
    words = [f"text={HOSTILE}", "word=--help ${a:b}", 'nested:={"x": ["{{ y }}"]}']
    said = bench.person.json("request", "echo", echo, "--parameters", *words, "--wait")
    came_back(bench, said, {"text": HOSTILE, "word": "--help ${a:b}", "nested": {"x": ["{{ y }}"]}})


def test_megabyte_is_data(bench: Bench, echo: str) -> None:
    parameters = {"text": MEGABYTE, "word": "short"}
    came_back(bench, order(bench, echo, parameters, "--wait"), parameters)
    shown = bench.person.slapos("service", "info", "echo").out
    assert len(shown) < 20_000
    assert "all of them with --format json" in shown


def test_megabyte_as_argument_is_refused_by_name_and_the_service_stays(bench: Bench, echo: str) -> None:
    before = page(_with_url(bench.operator.instance(title="echo")))
    assert order(bench, echo, {"word": MEGABYTE}).code == 75
    context = bench.waits_for("echo", sentence="holds an argument")["error"]["context"]
    said = order(bench, echo, {"word": MEGABYTE}, "--wait", "--timeout", "0")
    assert (said.code, said.error["reference"]) == (70, "instance-fails")
    assert "[httpd] command-line: holds an argument of 1048576 bytes" in said.error["message"]
    assert (context["section"], context["option"], context["part"]) == ("httpd", "command-line", "httpd")
    assert Path(context["log"]).exists()
    assert page(_with_url(bench.operator.instance(title="echo"))) == before
    came_back(bench, order(bench, echo, {"word": "good"}, "--wait"), {"word": "good"})


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"text": "a\0b"}, "parameters.text"),
        ({"nested": {"list": ["a", "\x1b[31m"]}}, "parameters.nested.list[1]"),
        ({"te\0xt": "x"}, "parameters (a key)"),
        ({"text": "\ud800"}, "parameters.text"),
        ({"_": '{"x": "\\u0000"}'}, "$.x"),
        ({"text": "m" * 11 * 1024 * 1024}, "body"),
    ],
)
def test_what_no_text_may_hold_is_refused(bench: Bench, echo: str, parameters: dict[str, Any], field: str) -> None:
    before = bench.operator.instance(title="echo").parameters
    said = order(bench, echo, parameters)
    assert (said.code, said.error["context"]["field"]) == (2, field)
    assert said.error["reference"] == ("too-large" if field == "body" else "invalid-text")
    assert said.error["hint"]
    assert bench.operator.instance(title="echo").parameters == before


@pytest.mark.parametrize("title", ["", " x", "a\nb", "x" * 201, "\x1b]0;evil\x07"])
def test_hostile_titles_are_refused(bench: Bench, echo: str, title: str) -> None:
    said = bench.person.json("request", title, echo)
    assert said.code == 2
    assert said.error["context"]["field"] == "title"


def test_hostile_title_that_is_allowed(bench: Bench, echo: str) -> None:
    title = "${buildout:directory} {{ x }} %(y)s '\"; [red]🙂"
    said = bench.person.json("request", title, bench.hello, "--wait")
    assert said.data["title"] == title
    assert title in bench.person.slapos("service", "list").out
    bench.destroy(title)
    bench.destroy("echo")
