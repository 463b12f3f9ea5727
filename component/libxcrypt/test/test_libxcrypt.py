"""libxcrypt: hashes passwords as others do."""

from __future__ import annotations

from pathlib import Path

import pytest

from slapos.system.processes import run
from slapos.testing.components import Component

PROGRAM = r"""
#include <crypt.h>
#include <stdio.h>
int main(int count, char **words) { puts(crypt(words[1], words[2])); return 0; }
"""


@pytest.mark.parametrize(
    ("setting", "option"), [("$6$saltstring$", "-6"), ("$5$saltstring$", "-5"), ("$1$salt$", "-1")]
)
def test_the_same_hash_as_openssl_makes(component: Component, tmp_path: Path, setting: str, option: str) -> None:
    program = component.compile(tmp_path / "hash", PROGRAM, "crypt")
    salt = setting.split("$")[2]
    expected = run(["openssl", "passwd", option, "-salt", salt, "Hello world!"]).text
    assert component.call(program, "Hello world!", setting).text == expected


def test_the_slow_ones_are_there_too(component: Component, tmp_path: Path) -> None:
    program = component.compile(tmp_path / "hash", PROGRAM, "crypt")
    for setting in ("$y$j9T$abcdefgh$", "$2b$04$abcdefghijklmnopqrstuu"):
        made = component.call(program, "secret", setting).text.strip()
        assert made.startswith(setting)
        assert component.call(program, "secret", made).text.strip() == made
        assert component.call(program, "Secret", made).text.strip() != made
