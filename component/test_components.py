"""What is true of every component."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slapos.build.lint.linkage import wrong_links
from slapos.testing.components import Component, component_names

TOP = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", component_names(TOP))
def test_linked_to_our_parts_and_libc_only(name: str, built: Callable[[str], Component]) -> None:
    component = built(name)
    wrong = wrong_links(component.location, component.locations.values())
    assert not wrong, "\n".join(link.sentence for link in wrong)


@pytest.mark.parametrize("name", component_names(TOP))
def test_has_a_test_of_its_own(name: str) -> None:
    assert (TOP / "component" / name / "test" / f"test_{name}.py").exists()


@pytest.mark.parametrize("name", component_names(TOP))
def test_says_what_it_is(name: str) -> None:
    lines = (TOP / "component" / name / "buildout.cfg").read_text().splitlines()
    assert lines[0].startswith("# ") and ": " in lines[0] and lines[0].endswith(".")
    for word in ("# Source:  ", "# Licence: "):
        assert any(line.startswith(word) for line in lines[:10]), word
    assert any(line.startswith(("# Digest:  ", "# Digests: ")) for line in lines[:10])
