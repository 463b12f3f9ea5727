"""The reader of server-sent events."""

from __future__ import annotations

import itertools
import threading

from hypothesis import given
from hypothesis import strategies as st

from slapos.model.errors import Unavailable
from slapos.slap.client import Client
from slapos.slap.events import ServerEvent, parse
from slapos.testing.transport import Canned, Scripted

STREAM = (
    b': hello\n\nid: 7\nevent: reset\ndata: {"generation": 7}\n\n:\n\nid: 9\ndata: {"subject": "COMP-1"}\n\nid: 10\n'
)
EXPECTED = [None, ServerEvent(7, "reset", {"generation": 7}), None, ServerEvent(9, "changed", {"subject": "COMP-1"})]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_any_cut_gives_the_same_events(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[left:right] for left, right in itertools.pairwise(edges)]
    assert list(parse(chunks)) == EXPECTED


def test_garbage_is_an_event_without_data() -> None:
    assert list(parse([b"id: x\ndata: {\n\n"])) == [ServerEvent(0, "changed", {})]


def test_reconnects_from_the_last_number() -> None:
    transport = Scripted(Canned(200, STREAM), Unavailable("gone"), Canned(200, STREAM))
    stop = threading.Event()
    found = []
    for number, data in Client.over(transport).events("COMP-1", 3, stop):
        found.append((number, data["event"]))
        if len(found) == 4:
            stop.set()
    assert found == [(7, "reset"), (9, "changed")] * 2
    assert [request.headers["Last-Event-ID"] for request in transport.seen] == ["3", "9", "9"]
