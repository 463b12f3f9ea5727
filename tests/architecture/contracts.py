"""Contracts for import-linter that say exactly what ``docs/explanation/architecture.rst`` draws.

import-linter's own kinds name what is forbidden, so that a new package would be free until somebody thinks of it.
These name what is allowed; whatever is not named is an error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

ROOT = "slapos"


def package_of(module: str) -> str:
    """``slapos.node.plan`` is of ``node``; modules of others are of no package."""
    parts = module.split(".")
    return parts[1] if parts[0] == ROOT and len(parts) > 1 else ""


def ours(graph: ImportGraph) -> list[str]:
    return sorted(module for module in graph.modules if package_of(module))


class AllowContract(Contract):
    """A contract whose check finds ``(importer, imported)`` pairs that nothing allows."""

    def findings(self, graph: ImportGraph) -> Iterator[tuple[str, str]]:
        raise NotImplementedError

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        broken = sorted(set(self.findings(graph)))
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["broken"]:
            output.print_error(f"{importer} may not import {imported}", bold=False)


class TableContract(AllowContract):
    """``table``: lines ``package: package, package``.  A package may import itself and those beside it, no other."""

    table = fields.ListField(subfield=fields.StringField())

    def findings(self, graph: ImportGraph) -> Iterator[tuple[str, str]]:
        allowed = {}
        for line in self.table:  # type: ignore[attr-defined]
            package, _, others = line.partition(":")
            allowed[package.strip()] = {
                package.strip(),
                *(other.strip() for other in others.split(",") if other.strip()),
            }
        for importer in ours(graph):
            for imported in graph.find_modules_directly_imported_by(importer):
                target = package_of(imported)
                if target and target not in allowed.get(package_of(importer), set()):
                    yield importer, imported


class OnlyContract(AllowContract):
    """``imported`` (an external package) is imported by ``importers`` (modules or packages) only."""

    imported = fields.StringField()
    importers = fields.ListField(subfield=fields.StringField())

    def findings(self, graph: ImportGraph) -> Iterator[tuple[str, str]]:
        top: str = self.imported  # type: ignore[assignment]
        importers: list[str] = self.importers  # type: ignore[assignment]
        for importer in ours(graph):
            if any(importer == name or importer.startswith(f"{name}.") for name in importers):
                continue
            for imported in graph.find_modules_directly_imported_by(importer):
                if imported == top or imported.startswith(f"{top}."):
                    yield importer, imported


class PureContract(AllowContract):
    """Modules of ``packages`` with one of ``names`` below their package import the model, one another and no effect.

    ``effects`` are packages of the standard library through which a module would touch the world; nothing outside
    the standard library is allowed at all.
    """

    packages = fields.SetField(subfield=fields.StringField())
    names = fields.SetField(subfield=fields.StringField())
    effects = fields.SetField(subfield=fields.StringField())

    def is_pure(self, module: str) -> bool:
        decides = any(part in self.names for part in module.split(".")[2:])  # type: ignore[operator]
        return decides and package_of(module) in self.packages  # type: ignore[operator]

    def findings(self, graph: ImportGraph) -> Iterator[tuple[str, str]]:
        for importer in ours(graph):
            if not self.is_pure(importer):
                continue
            for imported in graph.find_modules_directly_imported_by(importer):
                if not self.allows(imported):
                    yield importer, imported

    def allows(self, imported: str) -> bool:
        if package_of(imported):
            return package_of(imported) == "model" or self.is_pure(imported)
        return imported in STANDARD_LIBRARY and imported not in self.effects  # type: ignore[operator]


STANDARD_LIBRARY = frozenset(sys.stdlib_module_names)
