"""bzip2: what it compressed it gives back, what is damaged it refuses."""

from __future__ import annotations

import bz2
from pathlib import Path

from slapos.testing.components import Component

TEXT = b"the same line again and again\n" * 1000


def test_back_and_forth(component: Component) -> None:
    packed = component.run("bzip2", "-c", stdin=TEXT)
    assert bz2.decompress(packed.output) == TEXT
    assert component.run("bunzip2", "-c", stdin=bz2.compress(TEXT)).output == TEXT
    assert component.run("bzip2", "-dc", stdin=packed.output[:-3]).code != 0


def test_the_library_is_the_one_that_was_built(component: Component, tmp_path: Path) -> None:
    text = "#include <bzlib.h>\n#include <stdio.h>\nint main(void) { puts(BZ2_bzlibVersion()); return 0; }"
    assert component.call(component.compile(tmp_path / "version", text, "bz2")).text.startswith("1.0.8,")
