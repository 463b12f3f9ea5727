"""What is installed in a directory: the engine's memory between two runs.

One JSON document, mode 0600 (options hold secrets), always replaced as a whole.  What cannot be read is set aside
and rebuilt by installing everything again, which every recipe allows.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field
from typing import Any

from slapos.build.values import Value
from slapos.system.files import atomic_write

FORMAT = 1

_log = logging.getLogger(__name__)


@dataclass
class InstalledPart:
    """One part as it was installed; ``whole`` is false from the moment a change begins until it ended well."""

    options: dict[str, Value]
    signature: str
    paths: list[str]
    whole: bool = True

    def same_as(self, options: dict[str, Value], signature: str) -> bool:
        """Whether nothing changed and all files are still there (``1`` and ``true`` are different values)."""
        return (
            self.whole
            and self.signature == signature
            and canonical(self.options) == canonical(options)
            and all(os.path.lexists(path) for path in self.paths)
        )


@dataclass
class State:
    """Installed parts in order, and the paths to remove once a whole run has succeeded."""

    parts: dict[str, InstalledPart] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)

    def retire(self, paths: list[str]) -> None:
        """Remember paths that no part may need any more."""
        self.stale.extend(path for path in paths if path not in self.stale)

    def current_paths(self) -> set[str]:
        return {path for part in self.parts.values() for path in part.paths}


def canonical(value: Any) -> str:
    """One text per value, for comparison."""
    return json.dumps(value, sort_keys=True)


def read_state(path: str) -> State:
    """The state, empty when there is none; an unreadable file is renamed to ``<path>.unreadable``."""
    try:
        with open(path, encoding="utf-8") as file:
            return _decoded(json.load(file))
    except FileNotFoundError:
        return State()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("%s cannot be read (%s): every part is installed again.", path, error)
        os.replace(path, f"{path}.unreadable")
        return State()


def write_state(path: str, state: State, *, durable: bool = False) -> None:
    """Replace the file; with ``durable``, it survives a power cut."""
    document = {
        "format": FORMAT,
        "parts": {name: vars(part) for name, part in state.parts.items()},
        "stale": state.stale,
    }
    atomic_write(path, json.dumps(document), 0o600, fsync=durable)  # written per part: indenting takes ten times longer


def _decoded(document: Any) -> State:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']!r} instead of {FORMAT}")
    return State(
        parts={name: _part(data) for name, data in document["parts"].items()},
        stale=[_text(path) for path in document["stale"]],
    )


def _part(data: dict[str, Any]) -> InstalledPart:
    return InstalledPart(
        options=dict(data["options"].items()),
        signature=_text(data["signature"]),
        paths=[_text(path) for path in data["paths"]],
        whole=data["whole"] is True,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value
