"""Remembering what was made of an object for as long as that very object lives."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def while_it_lives(function: Callable[[T], R]) -> Callable[[T], R]:
    """``function``, called once for each object; for frozen ones that hold mappings, which cannot be hashed."""
    made: dict[int, tuple[weakref.ref[T], R]] = {}

    @functools.wraps(function)
    def remembered(item: T) -> R:
        key = id(item)
        known = made.get(key)
        if known is not None and known[0]() is item:
            return known[1]
        result = function(item)
        made[key] = (weakref.ref(item, lambda _: made.pop(key, None)), result)
        return result

    return remembered
