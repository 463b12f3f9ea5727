"""What hostile and careless clients send, as strategies."""

from __future__ import annotations

import functools
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")

HOSTILE = (
    "",
    " ",
    "None",
    "none",
    "NULL",
    "0",
    "-1",
    "9" * 40,
    "COMP-0",
    "COMP-1",
    "COMP-01",
    "COMP-99999999999999999999",
    "SOFTINST-1",
    "SOFTINST-2",
    "SOFTINST--1",
    "slappart0",
    "slappart9",
    "../../etc/passwd",
    "/etc/passwd",
    "file:///etc/passwd",
    "${buildout:directory}",
    "%(__buildout_space_n__)s",
    "{{ 7 * 7 }}",
    "$(id)",
    "`id`",
    "a\nb",
    "a\rb",
    "a\tb",
    "nul\0inside",
    "\x1b[31mred",
    "\ufffe",
    "\u202egnp.exe",
    "\U0001f600",
    "<&>\"'",
    "&amp;lt;",
    "]]>",
    "' or 1=1 --",
    '"; drop table instances; --',
    "x" * 201,
    "x" * 5_000,
    "started",
    "stopped",
    "destroyed",
    "available",
    "RootSoftwareInstance",
    "default",
    "http://127.0.0.1:1/software.cfg",
    "http://[::1/software.cfg",
    "http://example.invalid/a b.cfg",
)


@functools.cache  # a new strategy is examined anew at each draw
def one_in(count: int) -> st.SearchStrategy[bool]:
    """True once in ``count``; in the middle, because generators favour ends."""
    return st.integers(1, count).map(lambda number: number == (count + 1) // 2)


@functools.cache
def among(*choices: T) -> st.SearchStrategy[T]:
    """One of these."""
    return st.sampled_from(choices)


def mostly(right: st.SearchStrategy[str], wrong: st.SearchStrategy[str], *, share: int = 8) -> st.SearchStrategy[str]:
    """``right``, and once in ``share`` ``wrong``."""
    return one_in(share).flatmap(lambda chosen: wrong if chosen else right)


plain = st.text(st.characters(codec="utf-8"), max_size=40)
texts = st.sampled_from(HOSTILE) | plain
titles = mostly(st.sampled_from(("one", "two", "shared", "new", "other")), texts)
nodes = mostly(st.just("COMP-1"), st.just("COMP-2") | texts)
partitions = mostly(st.sampled_from(("slappart0", "slappart1", "slappart2", "slappart3")), texts)
guids = mostly(st.sampled_from(("SOFTINST-1", "SOFTINST-2", "SOFTINST-3")), texts)
states = mostly(st.sampled_from(("started", "stopped", "destroyed")), texts)
supply_states = mostly(st.sampled_from(("available", "destroyed")), texts)
releases = mostly(st.sampled_from(("http://release.invalid/software.cfg", "http://release.invalid/other.cfg")), texts)
types = mostly(st.sampled_from(("default", "RootSoftwareInstance", "other")), texts)

scalars = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
data = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
broken_text = st.sampled_from(
    (b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\x00", b"\xf8\x88\x80\x80\x80", b"%", b"%zz")
)


fillers = st.binary(max_size=8) | broken_text
mutations = st.sampled_from(("cut", "exchange", "put", "double", "drop"))
shares = st.floats(0.0, 1.0, exclude_max=True)
lengths = st.integers(0, 20)


def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """``original`` cut, doubled, with bytes exchanged or put in."""
    position = int(draw(shares) * (len(original) + 1))
    end = min(len(original), position + draw(lengths))
    filler, kind = draw(fillers), draw(mutations)
    pieces = {
        "cut": original[:position],
        "exchange": original[:position] + filler + original[end:],
        "put": original[:position] + filler + original[position:],
        "double": original + original[position:],
        "drop": original[:position] + original[end:],
    }
    return pieces[kind]
