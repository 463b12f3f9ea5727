"""The search texts that the field's clients send (spec/03 §2), and nothing more: other queries are refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from slapos.model.errors import InputError

TREE, NODE, SUPPLY = "Instance Tree", "Compute Node", "Software Installation"
INSTANCE, SHARED, PERSON = "Software Instance", "Slave Instance", "Person"


class Kind(StrEnum):
    """What is searched."""

    TREES = TREE
    NODES = NODE
    INSTANCES = INSTANCE
    SUPPLIES = SUPPLY


@dataclass(frozen=True)
class Query:
    """One search.  ``title``, ``reference``: of the object itself; ``owner``: of the tree or the node it belongs to.

    None matches everything.
    """

    kind: Kind
    title: str | None = None
    reference: str | None = None
    owner: str | None = None


_ANY = r'(?: AND (?:title:="(?P<title>.*)"|reference:="(?P<reference>.*)"))?'
_FORMS = {
    Kind.TREES: r'portal_type:"Instance Tree" AND validation_state:validated' + _ANY,
    Kind.NODES: r'portal_type:"Compute Node" AND validation_state:validated' + _ANY,
    Kind.INSTANCES: r'portal_type:\("Software Instance", "Slave Instance"\) AND validation_state:validated'
    r' AND default_specialise_title:="(?P<owner>.*)"',
    Kind.SUPPLIES: r'portal_type:"Software Installation" AND validation_state:validated'
    r'(?: AND default_aggregate_reference:="(?P<owner>.*)")?',
}
_PATTERNS = {kind: re.compile(form, re.DOTALL) for kind, form in _FORMS.items()}


def parse_query(text: str) -> Query:
    """The search that ``text`` means; :class:`InputError` ``unknown-query`` for any other.

    Clients put titles between quotes as they are, so a title ends at the last quote of the text.
    """
    for kind, pattern in _PATTERNS.items():
        if found := pattern.fullmatch(text):
            return Query(kind, **found.groupdict())
    raise InputError(
        f"query: {text[:200]!r} is none of the searches that this master knows.",
        reference="unknown-query",
        context={"field": "query", "value": text[:200]},
        hint="Use the methods of GET /openapi.json, which list everything.",
    )
