"""The document in which the field keeps parameters and connection parameters, seen in ``connection_xml`` and HATEOAS.

Flat: values are texts.  The format cannot tell an empty text from none, and joins a key that is there twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lxml import etree

from slapos.model.text import check_text
from slapos.wire.safe_xml import DEFAULT_LIMITS, Limits, invalid, parse


def dumps(mapping: Mapping[str, Any]) -> str:
    """The document: keys in order, the text of each value."""
    root = etree.Element("instance")
    for key in sorted(mapping):
        value = str(mapping[key])
        etree.SubElement(root, "parameter", {"id": check_text("a key", key)}).text = check_text(key, value)
    return etree.tostring(root, pretty_print=True, xml_declaration=True, encoding="utf-8").decode("utf-8")


def loads(text: str, *, limits: Limits = DEFAULT_LIMITS, field: str = "document") -> dict[str, str | None]:
    """The parameters; an empty element is None, an empty text no parameters.  :class:`InputError` ``invalid-xml``."""
    if not text.strip():
        return {}
    found: dict[str, str | None] = {}
    for element in parse(text.encode("utf-8", "surrogatepass"), limits=limits, field=field).findall("parameter"):
        key = element.get("id")
        if key is None or len(element):
            raise invalid(field, "parameter", "a parameter has an id, and text only")
        texts = [value for value in (found.get(key), element.text) if value is not None]
        found[key] = " ".join(texts) if texts else None
    return found
