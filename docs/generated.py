"""Reference pages made from the sources when the documentation is built, so that they cannot be wrong.

``.. commands::``      each command of ``slapos`` with its help and options
``.. errors::``        each stable reference of an error, its kind, and what it says
``.. field-recipes::`` each recipe of the field that one of ours serves
``.. components::``    each component with its version, licence, source, and what it is made with
``.. reproducible::``  which components come out the same when they are built again
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.parsing import nested_parse_to_nodes

TOP = Path(__file__).resolve().parents[1]


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every visible command with its full name, parents first, in the order of the table."""
    from slapos.cli.main import slapos

    yield from _below("slapos", slapos, None)


def _below(
    name: str, command: click.Command, parent: click.Context | None
) -> Iterator[tuple[str, click.Command, click.Context]]:
    context = click.Context(command, info_name=name.rsplit(maxsplit=1)[-1], parent=parent, **command.context_settings)
    yield name, command, context
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None, f"{name} {child}"
            yield from _below(f"{name} {child}", found, context)


def command_page() -> str:
    """A section per command: its help exactly as ``--help`` prints it."""
    lines = []
    for name, command, context in commands():
        context.max_content_width = context.terminal_width = 86
        lines += [name, "-" * len(name), "", ".. code-block:: text", ""]
        lines += [f"   {line}".rstrip() for line in command.get_help(context).splitlines()]
        lines += [""]
    return "\n".join(lines)


def errors() -> dict[str, tuple[str, str, str]]:
    """Reference → kind, sentence (with … for what varies), file."""
    found: dict[str, tuple[str, str, str]] = {}
    for path in sorted((TOP / "slapos").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and (reference := _literal(call)):
                sentence = _sentence(call.args[0]) if call.args else ""
                kind = ast.unparse(call.func).split(".")[-1]
                found.setdefault(reference, (kind, sentence, path.relative_to(TOP).as_posix()))
    return dict(sorted(found.items()))


def _literal(call: ast.Call) -> str:
    if not ast.unparse(call.func).split(".")[-1][:1].isupper():
        return ""
    for keyword in call.keywords:
        if keyword.arg == "reference" and isinstance(keyword.value, ast.Constant) and keyword.value.value:
            return str(keyword.value.value)
    return ""


def _sentence(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return "…"


def error_page() -> str:
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 25 18 57", ""]
    rows = [("reference", "kind", "sentence")]
    rows += [(f"``{reference}``", kind, _escape(sentence)) for reference, (kind, sentence, _) in errors().items()]
    for row in rows:
        lines += [f"   {'* ' if index == 0 else '  '}- {cell}" for index, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    for character in "\\`*_|<>":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split()) or "…"


def requirements() -> dict[str, list[str]]:
    """``run``, ``test``, ``check``: the requirements of setup.py, read without installing anything."""
    said: dict[str, Any] = {}
    stand_in: Any = types.ModuleType("setuptools")
    stand_in.setup = lambda **words: said.update(words)
    stand_in.find_namespace_packages = lambda **words: []
    kept = sys.modules.get("setuptools")
    sys.modules["setuptools"] = stand_in
    try:
        exec(compile((TOP / "setup.py").read_text(encoding="utf-8"), "setup.py", "exec"), {"__name__": "setup"})
    finally:
        sys.modules.pop("setuptools")
        if kept is not None:
            sys.modules["setuptools"] = kept
    return {"run": said["install_requires"], **said["extras_require"]}


class Generated(SphinxDirective):
    """Parses what ``make`` returns as if it stood in the page."""

    make = staticmethod(command_page)

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(os.fspath(Path(__file__)))
        text = StringList(self.make().splitlines(), source="generated")
        return nested_parse_to_nodes(self.state, text, allow_section_headings=True)


def field_recipe_page() -> str:
    """A table: the field's name, and the page of ours."""
    from slapos.build.profile.field_names import FIELD_RECIPES

    lines = [".. list-table::", "   :header-rows: 1", "", "   * - Recipe of the field", "     - Served by"]
    for name, own in FIELD_RECIPES.items():
        distribution, _, entry = name.partition(":")
        shown = distribution.replace("-", ".") + (f":{entry}" if entry != "default" else "")
        lines += [f"   * - ``{shown}``", f"     - :doc:`/reference/recipes/{own}`"]
    return "\n".join(lines) + "\n"


def components() -> Iterator[tuple[str, dict[str, str]]]:
    """Name → what it is, ``Source``, ``Licence``, ``version``, ``uses`` and ``patches``, as its profile says."""
    for path in sorted((TOP / "component").glob("*/buildout.cfg")):
        text, name = path.read_text(encoding="utf-8"), path.parent.name
        if version := re.search(r"^version = (.+)$", text, re.MULTILINE):
            facts = {word: value for word, value in re.findall(r"^# (Source|Licence): +([^;\n]+)", text, re.MULTILINE)}
            facts["what"] = text.splitlines()[0].partition(": ")[2].rstrip(".")
            facts["uses"] = ", ".join(sorted(set(re.findall(r"\$\{([a-z0-9-]+):", text)) - {"buildout"})) or "—"
            facts["patches"] = str(text.count("/patches/"))
            yield name, {**facts, "version": version[1]}


def component_page() -> str:
    """A table with a row per component."""
    heads = ("Component", "Version", "What it is", "Licence", "Made with", "Patches")
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 12 9 32 19 20 8", ""]
    rows = [heads]
    for name, facts in components():
        link = f"`{name} <{facts['Source'].split()[0].rstrip(';,')}>`__"
        rows.append((link, facts["version"], facts["what"], facts["Licence"], facts["uses"], facts["patches"]))
    for row in rows:
        lines += [f"   {'* ' if index == 0 else '  '}- {cell}" for index, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def reproducible_page() -> str:
    """A table with a row per component that was built again."""
    rows = json.loads((TOP / "docs/reference/reproducible.json").read_text(encoding="utf-8"))
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 14 11 8 41 26", ""]
    cells = [("Component", "Version", "Files", "Two builds", "Day and most jobs of each")]
    for name, row in sorted(rows.items()):
        told = f"differ: {_escape(row['differs'])}" if row["differs"] else "the same bytes"
        builds = ", ".join(f"{day} ({jobs})" for day, jobs in zip(row["days"], row["jobs"], strict=True))
        cells.append((name, row["version"] or "—", str(row["files"]), told, builds))
    for line in cells:
        lines += [f"   {'* ' if index == 0 else '  '}- {cell}" for index, cell in enumerate(line)]
    return "\n".join(lines) + "\n"


class Commands(Generated):
    make = staticmethod(command_page)


class Errors(Generated):
    make = staticmethod(error_page)


class FieldRecipes(Generated):
    make = staticmethod(field_recipe_page)


class Components(Generated):
    make = staticmethod(component_page)


class Reproducible(Generated):
    make = staticmethod(reproducible_page)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("commands", Commands)
    app.add_directive("errors", Errors)
    app.add_directive("field-recipes", FieldRecipes)
    app.add_directive("components", Components)
    app.add_directive("reproducible", Reproducible)
    return {"version": "1", "parallel_read_safe": True}
