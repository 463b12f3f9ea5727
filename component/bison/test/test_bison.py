"""bison: its parsers parse."""

from __future__ import annotations

from pathlib import Path

from slapos.system.processes import run
from slapos.testing.components import Component

GRAMMAR = r"""
%{
#include <stdio.h>
static const char *text;
static int yylex(void);
static void yyerror(const char *why) { printf("%s\n", why); }
%}
%token NUMBER
%left '+'
%left '*'
%%
all: sum { printf("%d\n", $1); };
sum: NUMBER | sum '+' sum { $$ = $1 + $3; } | sum '*' sum { $$ = $1 * $3; };
%%
static int yylex(void)
{
    if (*text >= '0' && *text <= '9') { yylval = *text++ - '0'; return NUMBER; }
    return *text ? *text++ : 0;
}
int main(int count, char **words) { text = words[1]; return yyparse(); }
"""


def test_a_calculator(component: Component, tmp_path: Path) -> None:
    (tmp_path / "sum.y").write_text(GRAMMAR)
    done = component.run("bison", "-Wall", "-o", str(tmp_path / "sum.c"), str(tmp_path / "sum.y"))
    assert (done.code, done.text) == (0, "")
    assert run(["gcc", "-o", str(tmp_path / "sum"), str(tmp_path / "sum.c")], timeout=60).code == 0
    assert run([str(tmp_path / "sum"), "2+3*4"]).text == "14\n"
    assert run([str(tmp_path / "sum"), "2+*4"]).text == "syntax error\n"
