"""ncurses: knows terminals from its own database."""

from __future__ import annotations

from slapos.testing.components import Component


def test_what_a_terminal_can_do(component: Component) -> None:
    assert component.run("tput", "-T", "xterm-256color", "colors").text == "256\n"
    assert component.run("tput", "-T", "vt100", "cup", "2", "4").output.startswith(b"\x1b[3;5H")
    assert component.run("tput", "-T", "no-such-terminal", "colors").code == 3


def test_the_database_is_its_own(component: Component) -> None:
    said = component.run("infocmp", "-T", "xterm").text
    assert f"Reconstructed via infocmp from file: {component.path('share/terminfo')}/" in said
