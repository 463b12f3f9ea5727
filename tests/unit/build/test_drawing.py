"""The picture of a plan, and where it puts things."""

from __future__ import annotations

import itertools
import random

import pytest
from lxml import etree

from slapos.build.drawing import drawing
from slapos.build.graph import Graph, Link, PartNode
from slapos.build.layers import place
from slapos.build.plan import Observed, make_plan

SVG = "{http://www.w3.org/2000/svg}"


def test_what_is_needed_lies_to_the_right() -> None:
    edges = [("top", "mid"), ("mid", "low"), ("top", "low"), ("other", "low")]
    layout = place(["low", "top", "mid", "other"], edges)
    column = {name: number for number, names in enumerate(layout.columns) for name in names}
    assert all(column[left] < column[right] for left, right in edges)
    assert len(layout.ways["top", "low"]) == 3, "it has a place of its own where it passes mid"
    assert layout.ways["mid", "low"] == ["mid", "low"]


@pytest.mark.parametrize("seed", range(8))
def test_nothing_overlaps(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"n{number}" for number in range(30)]
    edges = [(chance.choice(names), chance.choice(names)) for _ in range(60)]  # with circles and loops
    layout = place(names, edges)
    assert sorted(name for column in layout.columns for name in column if "\0" not in name) == sorted(names)
    for column in layout.columns:
        for above, below in itertools.pairwise(column):
            room = (0.4 if "\0" in above else 1.0) / 2 + (0.4 if "\0" in below else 1.0) / 2
            assert layout.heights[below] - layout.heights[above] >= room - 1e-9
    assert min(layout.heights.values()) >= 0.0


def test_two_equal_sides_lie_level() -> None:
    layout = place(["top", "a", "b"], [("top", "a"), ("top", "b")])
    assert layout.heights["top"] == pytest.approx((layout.heights["a"] + layout.heights["b"]) / 2)


def test_an_empty_release_is_a_picture() -> None:
    etree.fromstring(drawing(Graph((), "x"), make_plan(Graph(()), Observed())).encode())


def test_every_part_edge_and_reason_is_in_the_picture() -> None:
    hostile = "a<b>&\"'\x1b"
    parts = (
        PartNode(hostile, opaque=True, recipe="their:<recipe>", links=(Link("low"),)),
        PartNode("low", private="it is built from a directory"),
        PartNode("file.cfg", private="hyperopenx:template makes parts of one release"),
    )
    graph = Graph(parts, "https://h.example/software.cfg?a=1&b=2")
    document = etree.fromstring(drawing(graph, make_plan(graph, Observed())).encode())
    texts = [element.text for element in document.iter(f"{SVG}text", f"{SVG}title")]
    assert "a<b>&\"'\ufffd" in texts and "low" in texts
    assert "a<b>&\"'\ufffd needs low" in texts
    assert any("their:<recipe> is not ours" in (text or "") for text in texts)
    assert any("it is built from a directory" in (text or "") for text in texts)
    assert "1 more in the release's own directory: file.cfg" in texts
    assert "file.cfg" not in texts, "a copied file has no box"
    assert len(list(document.iter(f"{SVG}path"))) == 1
