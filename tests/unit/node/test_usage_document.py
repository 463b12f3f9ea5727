"""Usage documents written by partitions, and the journal made of them."""

from __future__ import annotations

import pytest
from lxml import etree

from slapos.model.errors import InputError
from slapos.node.usage_document import make_journal, parse_consumption

GOOD = b"""<?xml version="1.0"?><consumption>
<movement><resource>cpu</resource><title>CPU &lt;time&gt;</title><reference>x</reference><quantity>1.5</quantity>
<price>0</price><VAT></VAT><category>a</category><category>b</category></movement>
<movement><resource>disk</resource><quantity>2</quantity><price>1e-3</price><VAT>1</VAT></movement>
</consumption>"""


def test_good_document() -> None:
    first, second = parse_consumption(GOOD)
    assert (first.resource, first.title, first.quantity, first.categories) == ("cpu", "CPU <time>", "1.5", ("a", "b"))
    assert (second.price, second.vat) == ("1e-3", "1")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"nothing", "document"),
        (b"<consumption/>", "consumption"),
        (b"<journal/>", "document"),
        (GOOD.replace(b"<quantity>2</quantity>", b""), "movement[1].quantity"),
        (GOOD.replace(b">1.5<", b">many<"), "movement[0].quantity"),
        (GOOD.replace(b">1.5<", b">nan<"), "movement[0].quantity"),
        (GOOD.replace(b"<reference>x</reference>", b"<owner>root</owner>"), "movement[0].owner"),
        (GOOD.replace(b"<reference>x</reference>", b"<resource>y</resource>"), "movement[0].resource"),
        (b'<!DOCTYPE consumption [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + GOOD[21:], "document"),
        (b'<?xml version="1.0"?><!DOCTYPE c [<!ENTITY a "aa">]><consumption>&a;</consumption>', "document"),
    ],
)
def test_wrong_documents_name_the_element(content: bytes, field: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_consumption(content)
    assert caught.value.reference == "invalid-usage"
    assert caught.value.context["field"] == field


def test_journal_has_the_movements_of_the_partition() -> None:
    text = make_journal(
        "COMP-1", [("slappart3", item) for item in parse_consumption(GOOD)], "2026-11-23T00:00:00+00:00"
    )
    transaction = etree.fromstring(text.encode())[0]
    assert transaction.get("type") == "Sale Packing List"
    assert transaction.findtext("reference") == "COMP-1"
    assert [item.findtext("reference") for item in transaction.findall("movement")] == ["slappart3", "slappart3"]
    assert transaction.find("movement").findtext("title") == "CPU <time>"  # type: ignore[union-attr]
