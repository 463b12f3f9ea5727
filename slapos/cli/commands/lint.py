"""``slapos lint``."""

from __future__ import annotations

import dataclasses
import os

import click
from rich.text import Text

from slapos.cli.lazy import Command
from slapos.cli.output import emit


@click.command(cls=Command)
@click.argument("directory", default=".", metavar="[CATALOGUE]")
@click.option(
    "--store", "stores", multiple=True, metavar="DIRECTORY", help="Check also what is built there; repeatable."
)
def lint(directory: str, stores: tuple[str, ...]) -> int:
    """Check a catalogue: the directory with component, stack and software. The exit status is 1 after a finding.

    Checksums, layout, schemas, sizes, recipes, options that nobody reads, sections and files that do not exist or that
    nobody names, in profiles and in templates of them. With --store, whether the components that are built there use
    nothing but other parts and libc.
    """
    from slapos.build.store.store import Store
    from slapos.catalogue.lint.catalogue import Catalogue
    from slapos.catalogue.lint.run import lint as lint_catalogue
    from slapos.catalogue.lint.run import lint_built

    catalogue = Catalogue.at(directory)
    found = lint_catalogue(catalogue)
    if stores:
        found += lint_built(catalogue, Store(tuple(map(os.path.abspath, stores))))
    items = sum(1 for _ in catalogue.items())
    emit(
        [dataclasses.asdict(finding) for finding in found],
        lambda: [Text(finding.text) for finding in found] or f"{items} items: nothing to find fault with.",
    )
    return 1 if found else 0
