"""Keeps ``slapos`` one namespace in an interpreter that also has distributions of other people in it.

Some of those bring an old-style ``slapos/__init__.py``, which would hide every portion but its own: ours, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _Portions(list[str]):
    """The directories ``<entry of sys.path>/<name>`` as they are now: ``sys.path`` may grow later."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def _now(self) -> list[str]:
        found = (os.path.join(entry or ".", self.name) for entry in sys.path)
        return list(dict.fromkeys(path for path in found if os.path.isdir(path)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def __getitem__(self, index: Any) -> Any:
        return self._now()[index]

    def __contains__(self, item: object) -> bool:
        return item in self._now()


class _Finder:
    """Finds ``name`` before any other finder does; also again when it was thrown out of ``sys.modules``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Part of the import protocol."""
        if fullname != self.name:
            return None
        spec = ModuleSpec(fullname, None, is_package=True)
        spec.submodule_search_locations = _Portions(fullname)
        return spec


def unite(name: str = "slapos") -> None:
    """From now on the top-level package ``name`` consists of all its portions in ``sys.path``."""
    sys.meta_path.insert(0, _Finder(name))
    known = sys.modules.get(name)
    if known is not None:
        known.__path__ = _Portions(name)
