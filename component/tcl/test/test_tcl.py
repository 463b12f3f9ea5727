"""tcl: runs a script."""

from __future__ import annotations

from slapos.testing.components import Component


def test_a_script(component: Component) -> None:
    script = b"proc square {x} {expr {$x * $x}}\nputs [lmap x {1 2 3} {square $x}]\nputs [info patchlevel]\n"
    assert component.run("tclsh8.6", stdin=script).text == "1 4 9\n8.6.16\n"
