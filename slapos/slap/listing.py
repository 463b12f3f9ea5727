"""What a person has, read through HATEOAS (spec/03): the listings that the XML dialect lacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from slapos.model.errors import NotFound, Unavailable
from slapos.slap.field_client import FieldClient

TREES = 'portal_type:"Instance Tree" AND validation_state:validated'
NODES = 'portal_type:"Compute Node" AND validation_state:validated'
VIEW = "slaposjs_view"
LIMIT = "1000"  # rows; existing masters give 10 unless told, and ignore it when they have no limit
_FIELD_TYPES = frozenset({"StringField", "EmailField", "IntegerField", "FloatField", "TextAreaField"})

Row = dict[str, Any]


class Listing:
    """``url`` is the base of the HATEOAS documents.  Errors are those of the client."""

    def __init__(self, *, client: FieldClient, url: str) -> None:
        self._client = client
        self.url = url
        self._links: Mapping[str, Any] | None = None

    @property
    def links(self) -> Mapping[str, Any]:
        """Where the root document says that search and documents are; read once."""
        if self._links is None:
            found = _member(self._client.json(self.url), "_links", self.url)
            if not isinstance(found, Mapping):
                raise _unusable(self.url, "_links is no object")
            self._links = found
        return self._links

    def search(self, query: str, columns: Iterable[str]) -> list[Row]:
        """Rows with at least ``columns``."""
        values: dict[str, str | list[str]] = {"query": query, "select_list": list(columns), "limit": LIMIT}
        url = expand(self._template("raw_search"), values)
        rows = _member(self._client.json(url), "_embedded.contents", url)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise _unusable(url, "_embedded.contents is no list of objects")
        return rows

    def document(self, relative_url: str) -> dict[str, Any]:
        """The fields of a document by their names, and ``portal_type``."""
        url = expand(self._template("traverse"), {"relative_url": relative_url, "view": VIEW})
        answer = self._client.json(url)
        form = _member(answer, "_embedded._view", url)
        fields = {"portal_type": _member(answer, "_links.type.name", url)}
        for key, item in form.items() if isinstance(form, Mapping) else ():
            prefix, _, name = key.partition("_")
            if prefix in ("my", "your") and isinstance(item, Mapping) and item.get("type") in _FIELD_TYPES:
                fields[name] = item.get("default")
        return fields

    def tree(self, title: str) -> dict[str, Any]:
        """The document of the instance tree of this title; :class:`NotFound` without one."""
        rows = self.search(f"{TREES} AND title:={quoted(title)}", ("title", "relative_url"))
        return self._only(rows, "title", title)

    def node(self, reference: str) -> dict[str, Any]:
        """The document of a node; :class:`NotFound` without one."""
        rows = self.search(f"{NODES} AND reference:={quoted(reference)}", ("reference", "relative_url"))
        return self._only(rows, "reference", reference)

    def _only(self, rows: list[Row], column: str, value: str) -> dict[str, Any]:
        for row in rows:
            if row.get(column) == value and isinstance(row.get("relative_url"), str):
                return self.document(row["relative_url"])
        raise NotFound(
            f"The master knows none whose {column} is {value!r}.",
            context={column: value, "address": self.url, "status": 404},
            hint="See the list: slapos service list, slapos computer list.",
        )

    def _template(self, name: str) -> str:
        return str(_member(self.links, f"{name}.href", self.url))


def expand(template: str, values: Mapping[str, str | list[str]]) -> str:
    """A URI template of level 1 (RFC 6570); lists are joined by commas, names without a value vanish."""
    pieces = template.split("{")
    made = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}")
        value = values.get(name, "")
        many = [value] if isinstance(value, str) else value
        made += [",".join(quote(item, safe="") for item in many), rest]
    return "".join(made)


def quoted(value: str) -> str:
    """``value`` as a text of the query language."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _member(data: Any, path: str, url: str) -> Any:
    for name in path.split("."):
        if not isinstance(data, Mapping) or name not in data:
            raise _unusable(url, f"{path} is missing")
        data = data[name]
    return data


def _unusable(url: str, reason: str) -> Unavailable:
    return Unavailable(
        f"The listing at {url} cannot be read: {reason}.",
        reference="invalid-answer",
        context={"status": 200, "address": url, "body": "", "reason": reason},
        hint="Check master_rest_url.",
    )
