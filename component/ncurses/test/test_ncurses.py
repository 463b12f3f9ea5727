"""ncurses: knows terminals from its own database."""

from __future__ import annotations

from pathlib import Path

from slapos.testing.components import Component
from slapos.testing.moving import moved


def test_what_a_terminal_can_do(component: Component) -> None:
    assert component.run("tput", "-T", "xterm-256color", "colors").text == "256\n"
    assert component.run("tput", "-T", "vt100", "cup", "2", "4").output.startswith(b"\x1b[3;5H")
    assert component.run("tput", "-T", "no-such-terminal", "colors").code == 3


def test_the_database_is_its_own(component: Component) -> None:
    said = component.run("infocmp", "-T", "xterm").text
    assert f"Reconstructed via infocmp from file: {component.path('share/terminfo')}/" in said


def test_moved_where_its_path_is_longer(component: Component, tmp_path: Path) -> None:
    """Its own database serves who names it; without that the machine's does, and nothing at the first place."""
    elsewhere = moved(component, tmp_path)
    assert elsewhere.run("tput", "-T", "xterm-256color", "colors", TERMINFO="/nowhere").text == "256\n"
    own = elsewhere.path("share/terminfo")
    rare = elsewhere.run("infocmp", "-T", "tvi955", TERMINFO=own)
    assert f"Reconstructed via infocmp from file: {own}/" in rare.text, rare.text
    assert elsewhere.hidden not in rare.text
