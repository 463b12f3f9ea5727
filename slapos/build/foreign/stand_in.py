"""A distribution that stands for ``slapos.core`` in a release.

The field's recipes and promises require slapos.core, whose modules would collide with ours of the same names.  This
one satisfies the requirement, needs what our modules need, and leads to them by links.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

NAME = "slapos.core"
KEY = "slapos-core"
VERSION = "1.26.1"
"""Of the slapos.core whose calls we offer; a profile that pins another version gets that number."""

NEEDS = ("lxml", "requests", "six", "zope.interface")
_PORTION = Path(__file__).resolve().parents[2]
_HIDDEN = frozenset({"__pycache__", "cookbook", "testing"})
_VERSION = re.compile(r"(?:==)?\s*([0-9][0-9A-Za-z.]*)\s*")


def version_of(versions: Mapping[str, str]) -> str:
    """The pinned version, or :data:`VERSION`."""
    for name in (NAME, KEY, "slapos_core"):
        found = _VERSION.fullmatch(versions.get(name, ""))
        if found:
            return found[1]
    return VERSION


def make_wheel(directory: str, versions: Mapping[str, str]) -> str:
    """The path of a wheel that only tells what it is, for pip's resolution."""
    version = version_of(versions)
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, f"slapos_core-{version}-py3-none-any.whl")
    info = f"slapos_core-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{info}/METADATA", _metadata(version))
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


def make_egg(eggs: str, versions: Mapping[str, str]) -> str:
    """The path of the egg below ``eggs``; made when it is not there or leads elsewhere."""
    version = version_of(versions)
    path = os.path.join(eggs, f"{NAME}-{version}-py{sys.version_info.major}.{sys.version_info.minor}.egg")
    if not os.path.exists(os.path.join(path, "slapos", "model", "errors.py")):
        os.makedirs(eggs, exist_ok=True)
        work = tempfile.mkdtemp(dir=eggs, prefix=".stand-in-")
        os.chmod(work, 0o755)
        _fill(Path(work), version)
        shutil.rmtree(path, ignore_errors=True)
        os.rename(work, path)
    return path


def _fill(egg: Path, version: str) -> None:
    info, package = egg / "EGG-INFO", egg / "slapos"
    info.mkdir()
    package.mkdir()
    (info / "PKG-INFO").write_text(_metadata(version), encoding="utf-8")
    (info / "requires.txt").write_text("\n".join([*NEEDS, ""]), encoding="utf-8")
    (info / "top_level.txt").write_text("slapos\n", encoding="utf-8")
    (info / "not-zip-safe").write_text("\n", encoding="utf-8")
    for entry in sorted(_PORTION.iterdir()):
        if entry.name not in _HIDDEN and not entry.name.startswith("."):
            (package / entry.name).symlink_to(entry)


def _metadata(version: str) -> str:
    needs = "".join(f"Requires-Dist: {name}\n" for name in NEEDS)
    return f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\nSummary: Stands for {NAME}\n{needs}"
