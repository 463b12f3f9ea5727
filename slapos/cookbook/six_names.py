"""The names of the library ``six`` that templates of the field use; Python 2 is no longer asked for anywhere."""

from __future__ import annotations

import io
import urllib
import urllib.parse
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from types import SimpleNamespace
from typing import Any

PY2 = False
PY3 = True
string_types = (str,)
integer_types = (int,)
text_type = str
binary_type = bytes
unichr = chr
StringIO = io.StringIO
BytesIO = io.BytesIO
moves = SimpleNamespace(range=range, zip=zip, map=map, filter=filter, urllib=urllib)


def iteritems(mapping: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """Pairs of a mapping."""
    return iter(mapping.items())


def iterkeys(mapping: Mapping[Any, Any]) -> Iterator[Any]:
    """Keys of a mapping."""
    return iter(mapping.keys())


def itervalues(mapping: Mapping[Any, Any]) -> Iterator[Any]:
    """Values of a mapping."""
    return iter(mapping.values())


def viewitems(mapping: Mapping[Any, Any]) -> ItemsView[Any, Any]:
    """A view of the pairs."""
    return mapping.items()


def viewkeys(mapping: Mapping[Any, Any]) -> KeysView[Any]:
    """A view of the keys."""
    return mapping.keys()


def viewvalues(mapping: Mapping[Any, Any]) -> ValuesView[Any]:
    """A view of the values."""
    return mapping.values()


def ensure_str(value: str | bytes, encoding: str = "utf-8") -> str:
    """Text of a text or of bytes."""
    return value if isinstance(value, str) else value.decode(encoding)


ensure_text = ensure_str


def ensure_binary(value: str | bytes, encoding: str = "utf-8") -> bytes:
    """Bytes of bytes or of a text."""
    return value if isinstance(value, bytes) else value.encode(encoding)
