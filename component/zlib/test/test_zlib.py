"""zlib: what it compresses, Python's own understands."""

from __future__ import annotations

import zlib
from pathlib import Path

from slapos.testing.components import Component

PROGRAM = r"""
#include <stdio.h>
#include <string.h>
#include <zlib.h>
int main(void)
{
    Bytef text[4000], packed[4000];
    uLongf size = sizeof packed;
    memset(text, 'a', sizeof text);
    if (strcmp(zlibVersion(), ZLIB_VERSION) || compress(packed, &size, text, sizeof text) != Z_OK) return 1;
    fwrite(packed, 1, size, stdout);
    return 0;
}
"""


def test_compression(component: Component, tmp_path: Path) -> None:
    done = component.call(component.compile(tmp_path / "pack", PROGRAM, "z"))
    assert done.code == 0
    assert zlib.decompress(done.output) == b"a" * 4000
