"""zstd: what it compressed it gives back, what is damaged it refuses."""

from __future__ import annotations

from pathlib import Path

from slapos.testing.components import Component

TEXT = b"the same line again and again\n" * 1000


def test_back_and_forth(component: Component) -> None:
    packed = component.run("zstd", "-c", stdin=TEXT)
    assert packed.code == 0
    assert len(packed.output) < len(TEXT) / 20
    assert component.run("zstd", "-dc", stdin=packed.output).output == TEXT
    assert component.run("zstd", "-dc", stdin=packed.output[:-3]).code != 0


def test_no_other_format_was_taken_from_the_machine(component: Component) -> None:
    assert "lzma" not in component.run("zstd", "-vV").text.partition("supports")[2]


def test_the_library_is_the_one_that_was_built(component: Component, tmp_path: Path) -> None:
    text = "#include <zstd.h>\n#include <stdio.h>\nint main(void) { puts(ZSTD_versionString()); return 0; }"
    assert component.call(component.compile(tmp_path / "version", text, "zstd")).text == "1.5.7\n"
