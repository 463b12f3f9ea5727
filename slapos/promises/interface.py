"""The marker that plugins of the field put on their class with ``zope.interface.implementer``.

A plugin that uses it brings zope.interface itself; without that package the marker means nothing, and no class needs
it.
"""

from __future__ import annotations

from typing import Any

try:
    from zope.interface import Interface as _Base  # type: ignore[import-not-found]
except ImportError:
    _Base = object

_Interface: Any = _Base


class IPromise(_Interface):  # type: ignore[misc]
    """A promise: a class ``RunPromise`` with ``sense``."""
