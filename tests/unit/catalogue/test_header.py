"""The comment at the top of a profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from slapos.catalogue.header import Header, read_header

TOP = Path(__file__).resolve().parents[3]


def test_all_of_it() -> None:
    text = (
        "# zlib: deflate compression, used by nginx.\n"
        '# Source:  https://zlib.net (release archive "fossils")\n'
        "# Licence: Zlib (a remark), GPL-2.0-or-later\n"
        "#          with Bison-exception-2.2 (another one)\n"
        "[zlib]\nurl = x\n# Licence: MIT\n"
    )
    header = read_header(text)
    assert (header.name, header.what, header.source) == (
        "zlib",
        "deflate compression, used by nginx.",
        "https://zlib.net",
    )
    assert header.licences == ("Zlib", "GPL-2.0-or-later WITH Bison-exception-2.2")


@pytest.mark.parametrize("text", ["", "[part]\n# Licence: MIT\n", "#\n", "# only words\n\n# Licence: MIT\n"])
def test_none(text: str) -> None:
    assert read_header(text) == Header()


def test_a_sentence_after_with_is_no_exception_of_spdx() -> None:
    licence = read_header("# x: y\n# Licence: GPL-2.0-or-later with the OpenSSL exception").licences
    assert licence == ("GPL-2.0-or-later with the OpenSSL exception",)


@pytest.mark.parametrize("name", ["zlib", "xz", "autoconf", "pcre2"])
def test_our_components(name: str) -> None:
    header = read_header((TOP / "component" / name / "buildout.cfg").read_text(encoding="utf-8"))
    assert header.name.lower() == name
    assert header.source.startswith("https://")
    assert header.licences
