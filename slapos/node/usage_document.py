"""Usage documents: what ``etc/report`` scripts write (``consumption``) and what the master gets (``journal``).

Shapes: ``spec/05`` §4.  The text comes from a partition: no entity, no DTD, no network, bounded size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from lxml import etree

from slapos.model.errors import InputError

SIZE_LIMIT = 1024 * 1024
_REQUIRED = ("resource", "quantity", "price", "VAT")
_ALLOWED = frozenset((*_REQUIRED, "title", "reference", "category"))


@dataclass(frozen=True)
class Movement:
    """One line of a consumption."""

    resource: str
    title: str
    reference: str
    quantity: str
    price: str
    vat: str
    categories: tuple[str, ...]


def parse_consumption(content: bytes) -> tuple[Movement, ...]:
    """The movements of a valid document; :class:`InputError` ``invalid-usage`` with the element otherwise."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content[: SIZE_LIMIT + 1], parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise _invalid("document", f"is not XML: {error}") from error
    if getattr(root.getroottree().docinfo, "doctype", ""):
        raise _invalid("document", "has a document type, which is refused")
    if root.tag != "consumption":
        raise _invalid("document", f"is a {root.tag!r}, not a 'consumption'")
    movements = tuple(_movement(index, element) for index, element in enumerate(root) if isinstance(element.tag, str))
    if not movements:
        raise _invalid("consumption", "has no movement")
    return movements


def _movement(index: int, element: etree._Element) -> Movement:
    where = f"movement[{index}]"
    if element.tag != "movement":
        raise _invalid(where, f"is a {element.tag!r}")
    texts: dict[str, str] = {}
    categories: list[str] = []
    for child in element:
        if not isinstance(child.tag, str):
            continue
        text = (child.text or "").strip()
        if len(child) or child.tag not in _ALLOWED:
            raise _invalid(f"{where}.{child.tag}", "is not expected")
        if child.tag == "category":
            categories.append(text)
        elif child.tag in texts:
            raise _invalid(f"{where}.{child.tag}", "comes twice")
        else:
            texts[child.tag] = text
    for name in _REQUIRED:
        if name not in texts:
            raise _invalid(f"{where}.{name}", "is missing")
    for name in ("quantity", "price"):
        _check_number(f"{where}.{name}", texts[name])
    return Movement(
        resource=texts["resource"],
        title=texts.get("title", ""),
        reference=texts.get("reference", ""),
        quantity=texts["quantity"],
        price=texts["price"],
        vat=texts["VAT"],
        categories=tuple(categories),
    )


def _check_number(where: str, text: str) -> None:
    try:
        good = math.isfinite(float(text))
    except ValueError:
        good = False
    if not good:
        raise _invalid(where, f"is {text!r}, not a number")


def _invalid(field: str, why: str) -> InputError:
    return InputError(
        f"{field} {why}.",
        reference="invalid-usage",
        context={"field": field},
        hint="A report writes <consumption> with <movement> elements.",
    )


def make_journal(node: str, movements: Iterable[tuple[str, Movement]], stop_date: str, start_date: str = "") -> str:
    """The transaction that tells the master of movements, each with its partition; dates are ISO 8601 in UTC."""
    journal = etree.Element("journal")
    transaction = etree.SubElement(journal, "transaction", type="Sale Packing List")
    heads = {
        "title": "Resource consumptions",
        "start_date": start_date,
        "stop_date": stop_date,
        "reference": node,
        "currency": "",
        "payment_mode": "",
        "category": "",
    }
    for name, text in heads.items():
        etree.SubElement(transaction, name).text = text
    arrow = etree.SubElement(transaction, "arrow", type="Administration")
    etree.SubElement(arrow, "source").text = ""
    etree.SubElement(arrow, "destination").text = ""
    for partition, item in movements:
        movement = etree.SubElement(transaction, "movement")
        texts = {
            "resource": item.resource,
            "title": item.title,
            "reference": partition,
            "quantity": item.quantity,
            "price": item.price,
            "VAT": item.vat,
        }
        for name, text in texts.items():
            etree.SubElement(movement, name).text = text
        for category in item.categories:
            etree.SubElement(movement, "category").text = category
    return etree.tostring(journal, xml_declaration=True, encoding="utf-8", pretty_print=True).decode()
