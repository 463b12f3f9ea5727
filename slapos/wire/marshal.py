"""Values as the field's masters, nodes and clients exchange them: one element ``marshal`` with one value.

Text is escaped twice, lists and dictionaries have ids so that one that occurs twice can be referred to, and only the
four classes of the protocol exist; they are data here (:class:`FieldObject`), nothing is ever called.  What the
format cannot carry back unchanged, or what two readers could understand differently, is refused in both directions.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape, unescape

from lxml import etree

from slapos.model.text import check_text
from slapos.wire.safe_xml import DEFAULT_LIMITS, DEPTH_LIMIT, Limits, invalid, parse, too_large

__all__ = ["KINDS", "MODULE", "FieldObject", "Limits", "Written", "dumps", "loads", "written"]

MODULE = "slapos.slap.slap"
KINDS = frozenset({"Computer", "ComputerPartition", "SoftwareRelease", "SoftwareInstance"})
_LONG = 10**24  # from here on, writers of the field say ``long``
_DIGITS_LIMIT = 4_000
_SPECIAL = re.compile("[^\t\n -%'-;=?-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # to be escaped, or refused
_OPEN = "\0"  # around an id that is left open: no text has it
_BRIEF = 200  # bytes of a document that holds one scalar: clients send the same few again and again
_INTEGER = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class FieldObject:
    """An object of the protocol: its class, the arguments of its constructor, its attributes."""

    kind: str
    arguments: tuple[Any, ...] = ()
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """A value written before, to be part of many documents; each counts its ids anew, so they are left open.

    Between two ``texts`` stands an id.  ``ids`` are counted from 0; ``used``: how many there are.
    """

    texts: tuple[str, ...]
    ids: tuple[int, ...]
    used: int

    @property
    def size(self) -> int:
        """Characters."""
        return sum(map(len, self.texts))

    def parts(self, first: int) -> list[str]:
        """The whole text in pieces, ids from ``first`` on."""
        found = [""] * (2 * len(self.ids) + 1)
        found[::2] = self.texts
        found[1::2] = [str(first + number) for number in self.ids]
        return found


def dumps(value: Any) -> bytes:
    """The document, pure ASCII; equal values give equal bytes, whatever the order of their keys.

    :class:`InputError` ``invalid-xml`` for what the format cannot carry, ``invalid-text`` for a control character.
    """
    writer = _Writer()
    writer.write(value, 0)
    return f"<marshal>{''.join(writer.parts)}</marshal>".encode("ascii")


def written(value: Any) -> Written:
    """``value`` as a part of documents to come: in their values, it stands for itself.  Errors as of :func:`dumps`."""
    writer = _Writer(first=0, around=_OPEN)
    writer.write(value, 0)
    pieces = "".join(writer.parts).split(_OPEN)
    return Written(tuple(pieces[::2]), tuple(map(int, pieces[1::2])), writer.following)


def loads(data: bytes, *, limits: Limits = DEFAULT_LIMITS, field: str = "body") -> Any:
    """The value; :class:`InputError` ``invalid-xml`` or ``too-large`` names ``field`` and the rule."""
    if len(data) <= _BRIEF and data in _SCALAR_DOCUMENTS:
        return _SCALAR_DOCUMENTS[data]
    root = parse(data, limits=limits, field=field)
    if root.tag != "marshal":
        raise invalid(field, "root", f"the root element is {root.tag[:100]!r}, not 'marshal'")
    return _Reader(limits=limits, field=field).only(root)


class _Writer:
    """Appends ASCII to ``parts``.  ``following`` is the next id."""

    def __init__(self, *, first: int = 2, around: str = "") -> None:
        self.parts: list[str] = []
        self.following = first
        self._around = around
        self._known: dict[int, str] = {}
        self._strings: dict[str, str] = {}

    def write(self, value: Any, depth: int) -> None:
        if depth > DEPTH_LIMIT:
            raise invalid("value", "depth", f"it has more than {DEPTH_LIMIT} levels")
        if isinstance(value, str):
            self.parts.append(self._strings.get(value) or self._string(value))
        elif isinstance(value, bytes):
            self.parts.append(self._string(_text(value)))
        elif value is None or isinstance(value, bool | int | float):
            self.parts.append(_scalar(value))
        elif isinstance(value, tuple):
            self._fill("tuple", "tuple", value, depth)
        elif isinstance(value, FieldObject):
            self._object(value, depth)
        elif isinstance(value, Written):
            self.parts += value.parts(self.following)
            self.following += value.used
        else:
            self._identified(value, depth)

    def _id(self) -> str:
        number = self.following
        self.following += 1
        return f"i{self._around}{number}{self._around}"

    def _string(self, value: str) -> str:
        """Kept, because names of attributes and states occur thousands of times."""
        element = self._strings[value] = f"<string>{_twice_escaped(value)}</string>"
        return element

    def _identified(self, value: Any, depth: int) -> None:
        known = self._known.get(id(value))
        if known is not None:
            self.parts.append(f'<reference id="{known}"/>')
        elif type(value) is dict or isinstance(value, Mapping):
            self._container("dictionary", value, _flat(value), depth)
        elif isinstance(value, list):
            self._container("list", value, value, depth)
        elif isinstance(value, set | frozenset):
            self._container("set", value, _ordered(value), depth)
        else:
            raise invalid("value", "type", f"a value of type {type(value).__name__} cannot travel")

    def _container(self, tag: str, value: Any, items: Iterable[Any], depth: int) -> None:
        identifier = self._known[id(value)] = self._id()
        self._fill(f'{tag} id="{identifier}"', tag, items, depth)

    def _object(self, value: FieldObject, depth: int) -> None:
        """Never a reference: readers of the field make a placeholder of it (trap 3); nor of its state."""
        if value.kind not in KINDS:
            raise invalid("value", "class", f"the class {value.kind[:100]!r} is none of the protocol")
        self.parts.append(f'<object id="{self._id()}" module="{MODULE}" class="{value.kind}">')
        self._fill("tuple", "tuple", value.arguments, depth + 1)
        self._fill(f'dictionary id="{self._id()}"', "dictionary", _flat(value.state), depth + 1)
        self.parts.append("</object>")

    def _fill(self, head: str, tag: str, items: Iterable[Any], depth: int) -> None:
        start = len(self.parts)
        self.parts.append(f"<{head}>")
        for item in items:
            if type(item) is str:  # most of them, without a call
                self.parts.append(self._strings.get(item) or self._string(item))
            else:
                self.write(item, depth + 1)
        if len(self.parts) == start + 1:
            self.parts[start] = f"<{head}/>"
        else:
            self.parts.append(f"</{tag}>")


def _scalar(value: bool | int | float | None) -> str:
    if value is None:
        return "<none/>"
    if isinstance(value, bool):
        return f"<bool>{int(value)}</bool>"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise invalid("value", "number", f"{value} is no number that travels")
        return f"<float>{value!s}</float>"
    tag = "int" if abs(value) < _LONG else "long"
    return f"<{tag}>{int(value)}</{tag}>"


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise invalid("value", "encoding", "bytes that are not UTF-8 cannot travel") from error


def _twice_escaped(text: str) -> str:
    """In ASCII; :class:`InputError` for a character that cannot travel."""
    if _SPECIAL.search(text):
        text = escape(escape(check_text("value", text))).replace("\r", "&#13;")
    return text if text.isascii() else text.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _flat(mapping: Mapping[Any, Any]) -> Iterable[Any]:
    """key, value, key, value, … in the order of the keys."""
    return itertools.chain.from_iterable((key, mapping[key]) for key in _ordered(mapping))


def _ordered(values: Iterable[Any]) -> list[Any]:
    found = list(values)
    try:
        return sorted(found)
    except TypeError:
        return sorted(found, key=repr)


class _Reader:
    """Turns elements into values.

    ``_cost`` counts elements and characters as if references were copies, and is bounded as the size is: a small
    document must not become a large value.
    """

    def __init__(self, *, limits: Limits, field: str) -> None:
        self._limits = limits
        self._field = field
        self._cost = 0
        self._depth = 0
        self._known: dict[str, tuple[Any, int]] = {}

    def only(self, element: etree._Element) -> Any:
        values = self._items(element)
        if len(values) != 1:
            raise self._wrong("root", f"'marshal' has {len(values)} values, not one")
        return values[0]

    def _read(self, element: etree._Element) -> Any:
        tag = element.tag
        read = _SCALARS.get(tag)
        if read is not None:
            return self._scalar(element, read)
        self._spend(1)
        if tag == "tuple":
            return tuple(self._items(element))
        if tag == "reference":
            return self._reference(element)
        build = _CONTAINERS.get(tag)
        if build is None:
            raise self._wrong("element", f"there is no element {tag[:100]!r}")
        before = self._cost
        value = build(self, element)
        identifier = element.get("id")
        if identifier is not None:
            if identifier in self._known:
                raise self._wrong("id", f"the id {identifier[:100]!r} occurs twice")
            self._known[identifier] = value, self._cost - before
        return value

    def _scalar(self, element: etree._Element, read: Callable[[str], Any]) -> Any:
        if len(element):
            raise self._wrong("nesting", f"{element.tag!r} holds an element")
        text = element.text or ""
        self._spend(1 + len(text))
        try:
            return read(text)
        except ValueError as error:
            raise self._wrong("number", f"{text[:50]!r} is no {element.tag}") from error

    def _items(self, element: etree._Element) -> list[Any]:
        children = list(element)
        if _is_text(element.text) or any(_is_text(child.tail) for child in children):
            raise self._wrong("text", f"{element.tag!r} holds text")
        self._depth += 1
        if self._depth > self._limits.depth:
            raise self._wrong("depth", f"it has more than {self._limits.depth} levels")
        values = [self._read(child) for child in children]
        self._depth -= 1
        return values

    def _reference(self, element: etree._Element) -> Any:
        found = self._known.get(element.get("id", ""))
        if found is None:  # also one to the element around it: a value never holds itself
            raise self._wrong("reference", f"it refers to {element.get('id', '')[:100]!r}, which did not come before")
        value, cost = found
        self._spend(cost)
        return value

    def _list(self, element: etree._Element) -> list[Any]:
        return self._items(element)

    def _dictionary(self, element: etree._Element) -> dict[Any, Any]:
        items = self._items(element)
        if len(items) % 2:
            raise self._wrong("dictionary", "a key has no value")
        keys = [self._key(key) for key in items[::2]]
        found = dict(zip(keys, items[1::2], strict=True))
        if len(found) != len(keys):
            raise self._wrong("dictionary", "a key occurs twice")
        return found

    def _set(self, element: etree._Element) -> set[Any]:
        return {self._key(item) for item in self._items(element)}

    def _key(self, value: Any) -> Hashable:
        try:
            hash(value)
        except TypeError as error:
            raise self._wrong("key", f"a {type(value).__name__} cannot be a key") from error
        return value  # type: ignore[no-any-return]

    def _object(self, element: etree._Element) -> FieldObject:
        module, kind = element.get("module", ""), element.get("class", "")
        if module != MODULE or kind not in KINDS:
            raise self._wrong("class", f"the class {module[:100]}.{kind[:100]} is none of the protocol")
        parts = self._items(element)
        if len(parts) != 2 or not isinstance(parts[0], tuple) or not isinstance(parts[1], dict | None):
            raise self._wrong("object", "an object has a tuple of arguments and a dictionary of attributes")
        state = parts[1] or {}
        if not all(isinstance(name, str) for name in state):
            raise self._wrong("object", "the name of an attribute is no text")
        return FieldObject(kind, parts[0], state)

    def _spend(self, cost: int) -> None:
        self._cost += cost
        if self._cost > self._limits.size:
            raise too_large(self._cost, self._limits.size, self._field)

    def _wrong(self, rule: str, reason: str) -> Exception:
        return invalid(self._field, rule, reason)


def _is_text(text: str | None) -> bool:
    return text is not None and text != "" and not text.isspace()


def _none(text: str) -> None:
    if text.strip():
        raise ValueError(text)


def _bool(text: str) -> bool:
    return {"0": False, "1": True}[text.strip()] if text.strip() in ("0", "1") else _refuse(text)


def _refuse(text: str) -> bool:
    raise ValueError(text)


def _int(text: str) -> int:
    digits = text.strip()
    if len(digits) > _DIGITS_LIMIT or not _INTEGER.fullmatch(digits):
        raise ValueError(text)
    return int(digits)


def _float(text: str) -> float:
    digits = text.strip()
    value = float(digits) if _FLOAT.fullmatch(digits) else math.inf
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _unescaped(text: str) -> str:
    return unescape(text) if "&" in text else text


_SCALAR_DOCUMENTS: dict[bytes, Any] = {
    dumps(value): value for value in (None, False, True, "started", "stopped", "destroyed")
}
_SCALARS: Mapping[str, Callable[[str], Any]] = {
    "string": _unescaped,
    "unicode": _unescaped,
    "none": _none,
    "bool": _bool,
    "int": _int,
    "long": _int,
    "float": _float,
}
_CONTAINERS: Mapping[str, Callable[[_Reader, etree._Element], Any]] = {
    "list": _Reader._list,
    "dictionary": _Reader._dictionary,
    "set": _Reader._set,
    "object": _Reader._object,
}
