"""The documentation names everything that exists: commands, recipes, dependencies, checks."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import sys
from types import ModuleType

import pytest

from tests.architecture.source import TOP, lines

DOCS = TOP / "docs"
COMING = DOCS / "how-to" / "come-from-slapos.rst"
OF_THE_MACHINE = {"patch", "bzip2", "postgresql"}


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    """The Sphinx extension, which reads the sources.  Sphinx itself is not needed for what is tested here."""
    pytest.importorskip("sphinx", reason="the documentation is checked where Sphinx is installed")
    spec = importlib.util.spec_from_file_location("generated", DOCS / "generated.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["generated"] = module
    spec.loader.exec_module(module)
    return module


def test_every_command_has_its_heading(generated: ModuleType) -> None:
    page = generated.command_page()
    for name, command, _ in generated.commands():
        assert f"\n{name}\n{'-' * len(name)}\n" in f"\n{page}", name
        assert command.help, name


def test_every_error_reference_is_listed(generated: ModuleType) -> None:
    page = generated.error_page()
    references = generated.errors()
    assert len(references) > 20
    assert all(f"``{reference}``" in page for reference in references)


def test_every_dependency_has_its_reason(generated: ModuleType) -> None:
    page = (DOCS / "reference/dependencies.rst").read_text(encoding="utf-8")
    listed = set(re.findall(r"^``([A-Za-z0-9._-]+)`` ", page, flags=re.MULTILINE))
    required = {re.split(r"[\[=<>~! ]", item)[0] for items in generated.requirements().values() for item in items}
    assert not required - listed, lines(required - listed)
    assert not listed - required - OF_THE_MACHINE, lines(listed - required)


def test_every_option_of_a_configuration_is_named() -> None:
    from slapos.master.config import MasterConfig
    from slapos.node.config import NodeConfig

    page = (DOCS / "reference/configuration.rst").read_text(encoding="utf-8")
    own_sections = {"other_masters": "[multimaster/<url>]", "products": "[products]"}
    names = [item.name for kind in (NodeConfig, MasterConfig) for item in dataclasses.fields(kind)]
    missing = {name for name in names if not re.search(rf"\b{name}\b|\b{name.replace('_', '-')}\b", page)}
    assert missing <= own_sections.keys(), lines(missing)
    assert all(section in page for section in own_sections.values())


def test_every_recipe_has_its_page() -> None:
    pages = {path.stem for path in (DOCS / "reference/recipes").glob("*.rst")}
    assert not recipes() ^ pages, lines(recipes() ^ pages)


def test_every_endpoint_of_the_field_is_named() -> None:
    from slapos.master.field.table import ENDPOINTS

    section = COMING.read_text().split("Endpoints\n---", 1)[1].split("\nRecipes\n", 1)[0]
    assert set(re.findall(r"^``(\w+)``", section, re.MULTILINE)) == {*ENDPOINTS, "getHateoasUrl"}


def test_commands_of_the_field_are_where_the_page_says(generated: ModuleType) -> None:
    ours = {name for name, _, _ in generated.commands()}
    section = COMING.read_text().split("Commands\n---", 1)[1]
    rows = [row.split("  ", 1) for row in section.splitlines() if row.startswith("``slapos")]
    assert len(rows) > 20
    for name, rest in rows:
        state = rest.strip().split("  ")[0]
        assert (name.strip("`") in ours) == (state == "same"), name
        if state == "another name":
            assert set(re.findall(r"``(.+?)``", rest)) <= ours, name


def test_every_decision_is_numbered_once() -> None:
    numbers = [path.name.split("-")[0] for path in sorted((DOCS / "adr").glob("0*.rst"))]
    assert numbers == [f"{index:04d}" for index in range(1, len(numbers) + 1)]


def test_every_make_target_has_help() -> None:
    makefile = (TOP / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):(?!=)(.*)$", makefile, flags=re.MULTILINE)
    assert [name for name, rest in targets if "## " not in rest] == []
    phony = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == {name for name, _ in targets}


def recipes() -> set[str]:
    text = (TOP / "setup.py").read_text(encoding="utf-8")
    return set(re.findall(r'"([a-z0-9._-]+) = slapos\.cookbook\.', text))
