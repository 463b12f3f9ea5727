"""xz: what it compressed it gives back, what is damaged it refuses."""

from __future__ import annotations

from pathlib import Path

from slapos.testing.components import Component

TEXT = b"the same line again and again\n" * 1000


def test_back_and_forth(component: Component) -> None:
    packed = component.run("xz", "-c", stdin=TEXT)
    assert packed.code == 0
    assert len(packed.output) < len(TEXT) / 20
    assert component.run("xz", "-dc", stdin=packed.output).output == TEXT
    damaged = packed.output[:40] + bytes([packed.output[40] ^ 1]) + packed.output[41:]
    assert component.run("xz", "-dc", stdin=damaged).code == 1


def test_the_library_is_the_one_that_was_built(component: Component, tmp_path: Path) -> None:
    text = "#include <lzma.h>\n#include <stdio.h>\nint main(void) { puts(lzma_version_string()); return 0; }"
    program = component.compile(tmp_path / "version", text, "lzma")
    assert component.call(program).text == "5.8.1\n"
