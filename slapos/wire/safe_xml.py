"""XML, read safely: what could cost more than its bytes, or mean two things, is refused.

Refused: document types (and with them entities of one's own), bytes that are not UTF-8, more bytes than the limit,
more than 2,048 levels.  Nothing is ever fetched.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

from lxml import etree

from slapos.model.errors import InputError

SIZE_LIMIT = 10 * 1024 * 1024  # bytes
DEPTH_LIMIT = 64
# Atomic, so that a prolog made of a million comments is read once.
_DOCTYPE = re.compile(rb"(?>\s+|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.DOTALL)


@dataclass(frozen=True)
class Limits:
    """``size``: bytes; ``depth``: levels of a value."""

    size: int = SIZE_LIMIT
    depth: int = DEPTH_LIMIT


DEFAULT_LIMITS = Limits()
_own = threading.local()


def parse(data: bytes, *, limits: Limits = DEFAULT_LIMITS, field: str = "body") -> etree._Element:
    """The root element; :class:`InputError` ``invalid-xml`` or ``too-large`` names ``field`` and the rule."""
    if len(data) > limits.size:
        raise too_large(len(data), limits.size, field)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise invalid(field, "encoding", f"it is not UTF-8: {error.reason} at byte {error.start}") from error
    if _DOCTYPE.match(data.removeprefix(b"\xef\xbb\xbf")):
        raise invalid(field, "doctype", "it declares a document type")
    try:
        return etree.fromstring(data, _parser())
    except (etree.XMLSyntaxError, ValueError) as error:
        raise invalid(field, "syntax", str(error)) from error


def _parser() -> etree.XMLParser:
    """One per thread: to make one takes longer than to parse a message."""
    found: etree.XMLParser | None = getattr(_own, "parser", None)
    if found is None:
        # Without a document type there are no entities to expand, and the size is bounded by us.
        found = _own.parser = etree.XMLParser(
            encoding="utf-8",
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=True,  # its own limit of one text is lower than ours
            remove_comments=True,
            remove_pis=True,
        )
    return found


def invalid(field: str, rule: str, reason: str) -> InputError:
    """The error of everything that is not acceptable as XML."""
    return InputError(
        f"{field}: not acceptable as XML: {reason[:300]}.",
        reference="invalid-xml",
        context={"field": field, "rule": rule},
        hint="Send one document in UTF-8 as docs/reference/xml-endpoints describes it, without a document type.",
    )


def too_large(size: int, limit: int, field: str = "body") -> InputError:
    """The error for ``size`` bytes (or at least that many)."""
    return InputError(
        f"{field}: {size} bytes, more than the limit of {limit}.",
        reference="too-large",
        context={"field": field, "size": size, "limit": limit},
        hint="Publish large data at a URL and send the URL.",
    )
