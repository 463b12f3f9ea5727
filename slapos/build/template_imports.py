"""``import-list`` of ``hyperopenx:template.jinja2``: other templates by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jinja2

from slapos.model.errors import NotFound


@dataclass(frozen=True)
class Folder:
    """``name`` is a template at ``path`` (or URL), or, when ``is_folder``, how the names of those below it begin."""

    name: str
    path: str
    is_folder: bool


def loader(folders: list[Folder], delimiter: str, read: Callable[[str], bytes]) -> jinja2.BaseLoader:
    """Finds ``<name>`` and ``<name><delimiter><relative path>``; nothing above a folder."""

    def load(name: str) -> tuple[str, str, None] | None:
        for folder in folders:
            path = _path(folder, name, delimiter)
            if path is not None:
                try:
                    return read(path).decode("utf-8"), path, None
                except NotFound:
                    continue
        return None

    return jinja2.FunctionLoader(load)


def _path(folder: Folder, name: str, delimiter: str) -> str | None:
    if not folder.is_folder:
        return folder.path if name == folder.name else None
    prefix = folder.name + delimiter
    if not name.startswith(prefix):
        return None
    steps = name.removeprefix(prefix).split(delimiter)
    return None if ".." in steps else "/".join([folder.path, *steps])
