"""popt: takes a command line apart."""

from __future__ import annotations

from pathlib import Path

from slapos.testing.components import Component

PROGRAM = r"""
#include <popt.h>
#include <stdio.h>
int main(int count, const char **words)
{
    int number = 0, code;
    struct poptOption options[] = {{"number", 'n', POPT_ARG_INT, &number, 0, "a number", "N"}, POPT_TABLEEND};
    poptContext context = poptGetContext(NULL, count, words, options, 0);
    if ((code = poptGetNextOpt(context)) < -1) printf("%s\n", poptStrerror(code));
    printf("%d %s\n", number, poptGetArg(context));
    poptFreeContext(context);
    return 0;
}
"""


def test_a_command_line(component: Component, tmp_path: Path) -> None:
    program = component.compile(tmp_path / "options", PROGRAM, "popt")
    assert component.call(program, "--number=42", "word").text == "42 word\n"
    assert component.call(program, "-n", "7", "word").text == "7 word\n"
    assert component.call(program, "-x", "word").text.startswith("unknown option\n")
