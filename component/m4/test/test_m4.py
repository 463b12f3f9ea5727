"""m4: expands macros."""

from __future__ import annotations

from slapos.testing.components import Component


def test_macros(component: Component) -> None:
    text = b"define(`twice', `$1 and $1')dnl\ntwice(`this') eval(2 ** 10)\n"
    assert component.run("m4", stdin=text).text == "this and this 1024\n"
