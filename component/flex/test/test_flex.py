"""flex: its scanners scan."""

from __future__ import annotations

from pathlib import Path

from slapos.system.processes import run
from slapos.testing.components import Component

SCANNER = r"""
%option noyywrap nounput noinput
%%
[0-9]+      { printf("number %s\n", yytext); }
[a-z]+      { printf("word %s\n", yytext); }
[ \n]+      ;
%%
int main(void) { return yylex(); }
"""


def test_a_scanner(component: Component, tmp_path: Path) -> None:
    (tmp_path / "words.l").write_text(SCANNER)
    done = component.run("flex", "-o", str(tmp_path / "words.c"), str(tmp_path / "words.l"))
    assert (done.code, done.text) == (0, "")
    assert run(["gcc", "-o", str(tmp_path / "words"), str(tmp_path / "words.c")], timeout=60).code == 0
    assert run([str(tmp_path / "words")], stdin=b"abc 42\n").text == "word abc\nnumber 42\n"
