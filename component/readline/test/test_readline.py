"""readline: edits lines; its history can be searched."""

from __future__ import annotations

from pathlib import Path

from slapos.testing.components import Component
from slapos.testing.moving import moved

PROGRAM = r"""
#include <stdio.h>
#include <readline/readline.h>
#include <readline/history.h>
int main(void)
{
    char *line;
    while ((line = readline("")) != NULL) { add_history(line); fprintf(stderr, "[%s]", line); }
    return 0;
}
"""


def test_keys_edit_the_line(component: Component, tmp_path: Path) -> None:
    _edits_lines(component, tmp_path)


def test_moved_where_its_path_is_longer(component: Component, tmp_path: Path) -> None:
    """It finds ncurses, which moved with it; nothing is at the first place."""
    _edits_lines(moved(component, tmp_path), tmp_path)


def _edits_lines(component: Component, tmp_path: Path) -> None:
    """Control-A goes to its begin, Control-W removes a word, Control-P brings the line before."""
    program = component.compile(tmp_path / "lines", PROGRAM, "readline")
    done = component.call(program, stdin=b"world\x01hello \nkeep remove\x17\n\x10\x10!\n", TERM="dumb")
    assert done.code == 0
    said = done.text
    for line in ("[hello world]", "[keep ]", "[hello world!]"):
        assert line in said
