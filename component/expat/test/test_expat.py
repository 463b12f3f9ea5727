"""expat: reads XML, says where it is wrong, and is not blown up by entities."""

from __future__ import annotations

from pathlib import Path

from slapos.testing.components import Component

PROGRAM = r"""
#include <expat.h>
#include <stdio.h>
#include <string.h>

static void begin(void *data, const XML_Char *name, const XML_Char **attributes) { printf("%s ", name); }

int main(void)
{
    const char *text = "<a><b c='1'/><d>\xc3\xa9</d></a>";
    XML_Parser parser = XML_ParserCreate(NULL);
    XML_SetStartElementHandler(parser, begin);
    if (XML_Parse(parser, text, strlen(text), 1) != XML_STATUS_OK) return 1;
    puts(XML_ExpatVersion());
    XML_ParserFree(parser);
    return 0;
}
"""
BOMB = "".join(f"<!ENTITY e{n} '{f'&e{n - 1};' * 10}'>" for n in range(1, 12))


def test_elements(component: Component, tmp_path: Path) -> None:
    assert component.call(component.compile(tmp_path / "parse", PROGRAM, "expat")).text == "a b d expat_2.8.3\n"


def test_wrong_xml_is_refused_with_its_place(component: Component, tmp_path: Path) -> None:
    (tmp_path / "wrong.xml").write_text("<a>\n<b></a>")
    done = component.run("xmlwf", str(tmp_path / "wrong.xml"))
    assert done.code == 2
    assert ":2:5: mismatched tag" in done.text


def test_entities_do_not_grow_without_end(component: Component, tmp_path: Path) -> None:
    (tmp_path / "bomb.xml").write_text(f"<!DOCTYPE a [<!ENTITY e0 'boom'>{BOMB}]><a>&e11;</a>")
    assert "limit on input amplification factor" in component.run("xmlwf", str(tmp_path / "bomb.xml")).text
