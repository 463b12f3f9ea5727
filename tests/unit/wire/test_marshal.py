"""Values of the field's XML, byte by byte (spec/01 §1), and what is refused."""

from __future__ import annotations

import time
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from slapos.model.errors import InputError
from slapos.wire.marshal import KINDS, FieldObject, Limits, dumps, loads, written
from slapos.wire.safe_xml import SIZE_LIMIT

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")) | st.sampled_from(
    ["\r\n", " lead", "&lt;", "&amp;amp;", "]]>", "<!--", "\t\n", "${a:b}", "\U0001f600", "\x7f\x85"]
)
SCALARS = st.none() | st.booleans() | st.integers() | TEXT | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXT, inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.sets(TEXT, max_size=4)
        | st.builds(FieldObject, st.sampled_from(sorted(KINDS)), st.tuples(TEXT, TEXT), st.dictionaries(TEXT, inner))
    ),
    max_leaves=15,
)
TWICE = ["x"]
RELEASE = FieldObject(
    "SoftwareRelease",
    ("http://x/software.cfg", "COMP-1"),
    {
        "_software_release": "http://x/software.cfg",
        "_computer_guid": "COMP-1",
        "_software_instance_list": [],
        "_requested_state": "available",
    },
)
STRING, LIST, DICT = "<string>%s</string>", '<list id="i%d">', '<dictionary id="i%d">'
EXAMPLES: list[tuple[Any, str]] = [
    (None, "<none/>"),
    (True, "<bool>1</bool>"),
    (False, "<bool>0</bool>"),
    (-5, "<int>-5</int>"),
    (2**40, "<int>1099511627776</int>"),
    (10**24 - 1, "<int>999999999999999999999999</int>"),
    (10**24, "<long>1000000000000000000000000</long>"),
    (1.5, "<float>1.5</float>"),
    ("", "<string></string>"),
    ('é<&>"', '<string>&#233;&amp;lt;&amp;amp;&amp;gt;"</string>'),
    ("a\n  b\r", "<string>a\n  b&#13;</string>"),
    ([], '<list id="i2"/>'),
    ((), "<tuple/>"),
    ({"a": 1}, '<dictionary id="i2"><string>a</string><int>1</int></dictionary>'),
    ({"_": '{"x": 1}'}, '<dictionary id="i2"><string>_</string><string>{"x": 1}</string></dictionary>'),
    (
        {"n": {}, "a": [("t", "10.0.0.1")]},
        '<dictionary id="i2"><string>a</string><list id="i3"><tuple><string>t</string><string>10.0.0.1</string>'
        '</tuple></list><string>n</string><dictionary id="i4"/></dictionary>',
    ),
    ([TWICE, TWICE], '<list id="i2"><list id="i3"><string>x</string></list><reference id="i3"/></list>'),
    ({1: "a", "b": 2}, '<dictionary id="i2"><string>b</string><int>2</int><int>1</int><string>a</string></dictionary>'),
    (
        RELEASE,
        '<object id="i2" module="slapos.slap.slap" class="SoftwareRelease"><tuple>'
        "<string>http://x/software.cfg</string><string>COMP-1</string></tuple>"
        '<dictionary id="i3"><string>_computer_guid</string><string>COMP-1</string>'
        "<string>_requested_state</string><string>available</string>"
        '<string>_software_instance_list</string><list id="i4"/>'
        "<string>_software_release</string><string>http://x/software.cfg</string></dictionary></object>",
    ),
]


@pytest.mark.parametrize(("value", "text"), EXAMPLES)
def test_examples_of_the_specification(value: Any, text: str) -> None:
    document = f"<marshal>{text}</marshal>".encode()
    assert dumps(value) == document
    found = loads(document)
    assert found == value
    assert type(found) is type(value)


@given(VALUES)
def test_round_trip(value: Any) -> None:
    document = dumps(value)
    assert document.isascii()
    assert loads(document) == value
    as_lxml = etree.tostring(etree.fromstring(document)).replace(b"<string/>", b"<string></string>")
    assert as_lxml == document, "lxml would write it differently"


@given(VALUES, VALUES)
def test_what_was_written_before_is_written_the_same_in_any_place(value: Any, other: Any) -> None:
    before = written(value)
    assert dumps(before) == dumps(value)
    assert dumps((other, {"a": before, "b": [other]})) == dumps((other, {"a": value, "b": [other]}))
    assert dumps([before, before]) == dumps([value, deepcopy(value)])


def test_two_references_in_what_was_written_before() -> None:
    """The same list twice, in a place whose ids began elsewhere."""
    twice = written([TWICE, TWICE])
    assert dumps([twice]) == dumps([[TWICE, TWICE]])
    assert loads(dumps([{}, twice, twice])) == [{}, [["x"], ["x"]], [["x"], ["x"]]]


@given(st.binary(max_size=200) | st.builds(lambda text: f"<marshal>{text}</marshal>".encode(), st.text()))
def test_any_bytes_are_a_value_or_an_input_error(data: bytes) -> None:
    try:
        loads(data)
    except InputError as error:
        assert error.reference in ("invalid-xml", "too-large")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<string>a&#233;</string>", "aé"),
        ("<string>a &lt;b&gt;</string>", "a <b>"),
        ("<unicode>old</unicode>", "old"),
        ("<list> <int> 1 </int>\n</list>\n", [1]),
        ('<list id="x"><list id="anything"/><reference id="anything"/></list>', [[], []]),
        ("<string>a<!-- between -->b</string>", "ab"),
        ("<string><![CDATA[<!DOCTYPE]]></string>", "<!DOCTYPE"),
        ('<object module="slapos.slap.slap" class="Computer"><tuple/><none/></object>', FieldObject("Computer")),
    ],
)
def test_reading_is_tolerant(text: str, value: Any) -> None:
    assert loads(f"<marshal>{text}</marshal>".encode()) == value


def test_identity_survives() -> None:
    first, second = loads(dumps([TWICE, TWICE]))
    assert first is second


def test_an_object_is_never_a_reference() -> None:
    assert dumps([RELEASE, RELEASE]).count(b"<object") == 2
    assert loads(dumps([RELEASE, RELEASE])) == [RELEASE, RELEASE]


BOMB = '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><marshal><string>&b;</string></marshal>'
REFERENCES = '<list id="x0"><string>aaaaaaaaaa</string></list>' + "".join(
    f'<list id="x{i}"><reference id="x{i - 1}"/><reference id="x{i - 1}"/></list>' for i in range(1, 60)
)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "syntax"),
        (b"<marshal><string>a", "syntax"),
        (b"<marshal/>", "root"),
        (b"<marshal><none/><none/></marshal>", "root"),
        (b"<other><none/></other>", "root"),
        (BOMB.encode(), "doctype"),
        (b" <?x?> <!-- --><!DOCTYPE marshal SYSTEM 'file:///etc/passwd'><marshal/>", "doctype"),
        (b"<marshal><string>&unknown;</string></marshal>", "syntax"),
        (b"<marshal><string>\xff</string></marshal>", "encoding"),
        ("<marshal><string>é</string></marshal>".encode("latin-1"), "encoding"),
        ("<marshal><none/></marshal>".encode("utf-16"), "encoding"),
        (b"<marshal><string>\x00</string></marshal>", "syntax"),
        (b"<marshal><string>&#1;</string></marshal>", "syntax"),
        (b"<marshal><string>&#xD800;</string></marshal>", "syntax"),
        (b"<marshal>" + b"<list>" * 66 + b"</list>" * 66 + b"</marshal>", "depth"),
        (b"<marshal>" + b"<list>" * 5_000 + b"</list>" * 5_000 + b"</marshal>", "syntax"),
        (b"<marshal><string><none/></string></marshal>", "nesting"),
        (b"<marshal><list>text</list></marshal>", "text"),
        (b"<marshal><list><none/>text</list></marshal>", "text"),
        (b"<marshal><nothing/></marshal>", "element"),
        (b"<marshal><complex>1.0 2.0</complex></marshal>", "element"),
        (b"<marshal><x:list xmlns:x='y'/></marshal>", "element"),
        (b"<marshal><dictionary><string>a</string></dictionary></marshal>", "dictionary"),
        (b"<marshal><dictionary><int>1</int><none/><bool>1</bool><none/></dictionary></marshal>", "dictionary"),
        (b"<marshal><dictionary><list/><none/></dictionary></marshal>", "key"),
        (b"<marshal><set><list/></set></marshal>", "key"),
        (b'<marshal><list><list id="a"/><list id="a"/></list></marshal>', "id"),
        (b'<marshal><list id="a"><reference id="a"/></list></marshal>', "reference"),
        (b"<marshal><reference/></marshal>", "reference"),
        (b"<marshal><int>1_000</int></marshal>", "number"),
        (b"<marshal><int/></marshal>", "number"),
        (b"<marshal><int>" + b"9" * 100_000 + b"</int></marshal>", "number"),
        (b"<marshal><bool>2</bool></marshal>", "number"),
        (b"<marshal><none>text</none></marshal>", "number"),
        (b"<marshal><float>nan</float></marshal>", "number"),
        (b"<marshal><float>1e999</float></marshal>", "number"),
        (b'<marshal><object module="os" class="system"><tuple/><dictionary/></object></marshal>', "class"),
        (b'<marshal><object module="slapos.slap.slap" class="slap"><tuple/><dictionary/></object></marshal>', "class"),
        (b"<marshal><object><tuple/><dictionary/></object></marshal>", "class"),
        (b'<marshal><object module="slapos.slap.slap" class="Computer"/></marshal>', "object"),
        (
            b'<marshal><object module="slapos.slap.slap" class="Computer"><dictionary/><tuple/></object></marshal>',
            "object",
        ),
        (
            b'<marshal><object module="slapos.slap.slap" class="Computer"><tuple/><dictionary><int>1</int><none/>'
            b"</dictionary></object></marshal>",
            "object",
        ),
    ],
)
def test_refused(data: bytes, rule: str) -> None:
    with pytest.raises(InputError) as caught:
        loads(data, field="filter_xml")
    assert (caught.value.reference, caught.value.context) == ("invalid-xml", {"field": "filter_xml", "rule": rule})


def test_references_are_no_bomb() -> None:
    data = f"<marshal><list>{REFERENCES}</list></marshal>".encode()
    with pytest.raises(InputError) as caught:
        loads(data)
    assert caught.value.reference == "too-large"


def test_size_is_what_was_said() -> None:
    limits = Limits(size=100)
    inside = b"<marshal><string>" + b"x" * 64 + b"</string></marshal>"
    assert len(inside) == 100
    assert loads(inside, limits=limits) == "x" * 64
    with pytest.raises(InputError) as caught:
        loads(inside + b" ", limits=limits)
    assert caught.value.reference == "too-large"
    most = SIZE_LIMIT - 36
    assert loads(b"<marshal><string>" + b"x" * most + b"</string></marshal>") == "x" * most


def test_a_long_prolog_takes_no_time() -> None:
    start = time.process_time()
    with pytest.raises(InputError):
        loads(b"<?pi ?><!-- -->" * 200_000 + b"<a")
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("value", "reference"),
    [
        ("\x00", "invalid-text"),
        ("\x1b", "invalid-text"),
        ("\ud800", "invalid-text"),
        ("\ufffe", "invalid-text"),
        (b"\xff", "invalid-xml"),
        (float("nan"), "invalid-xml"),
        (1j, "invalid-xml"),
        (object(), "invalid-xml"),
        (FieldObject("Unknown"), "invalid-xml"),
    ],
)
def test_what_cannot_travel_is_not_written(value: Any, reference: str) -> None:
    with pytest.raises(InputError) as caught:
        dumps([value])
    assert caught.value.reference == reference


def test_a_value_that_holds_itself_by_an_object_is_not_written() -> None:
    state: dict[str, Any] = {}
    state["self"] = FieldObject("Computer", (), state)
    with pytest.raises(InputError, match="levels"):
        dumps(state["self"])
