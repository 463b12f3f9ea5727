"""The page of the XML endpoints says of each what the table of endpoints says."""

from __future__ import annotations

import re

from slapos.master.field.routes import FieldRoute
from slapos.master.field.table import ENDPOINTS
from tests.architecture.source import TOP

PAGE = TOP / "docs/reference/xml-endpoints.rst"
ROW = re.compile(
    r"^   \* - ``(\w+)``\n     - (\w+)\n     - (\w+)\n     - (.*?)(?=\n   \*|\n\n)", re.MULTILINE | re.DOTALL
)


def _arguments(route: FieldRoute) -> str:
    return " ".join(field.name + ("" if field.required else "?") for field in route.fields)


def test_every_endpoint_has_its_row() -> None:
    found = {}
    for name, verb, acts, text in ROW.findall(PAGE.read_text(encoding="utf-8")):
        given = text.replace("\n", " ").partition(".")[0]
        found[name] = (verb, acts, " ".join(re.findall(r"``(\w+)``", given)))
    assert found == {
        name: (route.verb, route.acts.value, _arguments(route).replace("?", "")) for name, route in ENDPOINTS.items()
    }


def test_optional_arguments_are_marked() -> None:
    for name, _, _, text in ROW.findall(PAGE.read_text(encoding="utf-8")):
        optional = set(re.findall(r"``(\w+)``\?", text))
        assert optional == {field.name for field in ENDPOINTS[name].fields if not field.required}, name
        marshalled = set(re.findall(r"``(\w+)``\?? \*m\*", text))
        assert marshalled == {field.name for field in ENDPOINTS[name].fields if field.kind is not None}, name


def test_every_status_that_is_answered_is_explained() -> None:
    from slapos.master.field import answers
    from slapos.wire.problem_table import PROBLEMS

    explained = {int(number) for number in re.findall(r"^(\d{3})  ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)}
    answered = {
        answers.status_of(problem.kind("", reference=reference))
        for reference, problem in PROBLEMS.items()
        if problem.status != 500
    }
    assert answered - explained - {406, 500} == set()
