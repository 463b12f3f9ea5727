"""The checks of the linter, and what they find in a catalogue.

A check is a function of a :class:`Catalogue` that yields findings; the table below is the list of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from slapos.build.lint.linkage import wrong_links
from slapos.build.store.store import Store
from slapos.catalogue.lint.catalogue import Catalogue
from slapos.catalogue.lint.findings import Finding
from slapos.catalogue.lint.layout import dead_files, layout, schemas, sizes
from slapos.catalogue.lint.references import dead_references, profiles, unused_options
from slapos.catalogue.lint.sources import checksums
from slapos.catalogue.lint.templates import jinja_syntax, recipes, template_references

CHECKS: Mapping[str, Callable[[Catalogue], Iterator[Finding]]] = {
    "profiles": profiles,
    "layout": layout,
    "checksums": checksums,
    "recipes": recipes,
    "dead-references": dead_references,
    "template-references": template_references,
    "jinja-syntax": jinja_syntax,
    "dead-files": dead_files,
    "unused-options": unused_options,
    "schemas": schemas,
    "sizes": sizes,
}


def lint(catalogue: Catalogue) -> list[Finding]:
    """All findings, sorted by place."""
    return sorted({finding for check in CHECKS.values() for finding in check(catalogue)})


def lint_built(catalogue: Catalogue, store: Store) -> list[Finding]:
    """What the components of the catalogue that lie in ``store`` are wrongly linked to.

    :class:`MachineError` ``missing-tool`` without ``readelf``.
    """
    components = {name for kind, name, _ in catalogue.items() if kind == "component"}
    found = []
    for part in store.parts():
        if part.part in components:
            needs = (name.split("/") for name in part.record.needs)
            places = [store.location(name, digest) for name, digest in needs]
            found += [Finding(wrong.path, 0, "linkage", wrong.sentence) for wrong in wrong_links(part.location, places)]
    return sorted(found)
