"""The client library of a master; and, by the names of the field, its classic library.

``slapos.slap.slap`` is two things there: a module, and the class in it.  What is read is the class, what is imported
from is the module; so it is here.  Nothing is loaded before it is used.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_CLASSIC = "slapos.slap.slap"
_NAMES = frozenset(
    {
        "AuthenticationError",
        "COMPUTER_PARTITION_REQUEST_LIST_TEMPLATE_FILENAME",
        "Computer",
        "ComputerPartition",
        "ConnectionError",
        "DEFAULT_SOFTWARE_TYPE",
        "NotFoundError",
        "OLD_DEFAULT_SOFTWARE_TYPE",
        "OpenOrder",
        "ResourceNotReady",
        "ServerError",
        "SlapException",
        "SoftwareInstance",
        "SoftwareProductCollection",
        "SoftwareRelease",
        "Supply",
        "Token",
    }
)


class _Package(ModuleType):
    @property
    def slap(self) -> Any:
        return importlib.import_module(_CLASSIC).slap

    @slap.setter
    def slap(self, module: ModuleType) -> None:
        """The import system hands us the module; it is in ``sys.modules``."""

    def __getattr__(self, name: str) -> Any:
        if name not in _NAMES:
            raise AttributeError(f"module 'slapos.slap' has no attribute {name!r}")
        return getattr(importlib.import_module(_CLASSIC), name)


sys.modules[__name__].__class__ = _Package
