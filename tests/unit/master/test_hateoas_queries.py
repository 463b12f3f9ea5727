"""The searches that clients of the field send, word for word (spec/03 §2)."""

from __future__ import annotations

import pytest

from slapos.master.hateoas.queries import Kind, Query, parse_query
from slapos.model.errors import InputError

TREES = 'portal_type:"Instance Tree" AND validation_state:validated'
NODES = 'portal_type:"Compute Node" AND validation_state:validated'
MEMBERS = 'portal_type:("Software Instance", "Slave Instance") AND validation_state:validated'
SUPPLIES = 'portal_type:"Software Installation" AND validation_state:validated'


@pytest.mark.parametrize(
    ("text", "query"),
    [
        (TREES, Query(Kind.TREES)),
        (f'{TREES} AND title:="a b"', Query(Kind.TREES, title="a b")),
        (f'{TREES} AND title:="a "quoted" title"', Query(Kind.TREES, title='a "quoted" title')),
        (f'{TREES} AND title:="two\nlines"', Query(Kind.TREES, title="two\nlines")),
        (f'{TREES} AND title:=""', Query(Kind.TREES, title="")),
        (NODES, Query(Kind.NODES)),
        (f'{NODES} AND reference:="COMP-1"', Query(Kind.NODES, reference="COMP-1")),
        (f'{NODES} AND title:="rack 1"', Query(Kind.NODES, title="rack 1")),
        (f'{MEMBERS} AND default_specialise_title:="site"', Query(Kind.INSTANCES, owner="site")),
        (SUPPLIES, Query(Kind.SUPPLIES)),
        (f'{SUPPLIES} AND default_aggregate_reference:="COMP-1"', Query(Kind.SUPPLIES, owner="COMP-1")),
    ],
)
def test_known(text: str, query: Query) -> None:
    assert parse_query(text) == query


@pytest.mark.parametrize(
    "text",
    ["", "everything", f"{TREES} ", f" {TREES}", f"{TREES} AND", f'{TREES} AND title:="a', MEMBERS, "x" * 100_000],
)
def test_unknown(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_query(text)
    assert caught.value.reference == "unknown-query"
    assert len(caught.value.message) < 400
