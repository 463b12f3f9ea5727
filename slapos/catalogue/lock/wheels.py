"""Refreshes a requirements file with hashes, as the recipe ``venv`` reads it: pip chooses, from where it is configured.

What is wanted stands in the file of the same name with ``.in`` at its end, else in the lock itself: then versions
stay, and what they need is not asked for.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slapos.build.requirements import Pin, logical_lines, normalised, read_pin
from slapos.catalogue.lock.listed import (
    Exact,
    LockFile,
    declared_beside,
    require_same_bytes,
    require_wanted,
    unavailable,
)
from slapos.model.errors import InputError
from slapos.system.processes import Launch, run

_PYTHON = "/usr/bin/python3"
_SECONDS = 900.0
_FIXED = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_NO_COLOR": "1"}
_OPTIONS = ("install", "--dry-run", "--ignore-installed", "--quiet", "--only-binary", ":all:", "--no-cache-dir")


def refreshed(lock: LockFile) -> tuple[str, Mapping[str, Exact], Mapping[str, Exact]]:
    """The new text, what was pinned and what is now.

    ``InputError`` ``no-packages``, ``packages-declared`` or ``unpinned-requirement``; ``Conflict`` ``source-changed``;
    ``Unavailable`` with what pip says.
    """
    pins = {pin.key: pin for pin in _pins(lock)}
    source = f"{os.path.splitext(lock.path)[0]}.in"
    if declared_beside(lock, source):
        chosen = _chosen(lock, ["--requirement", source])
    elif lock.wanted:
        chosen = _chosen(lock, ["--", *lock.wanted])
    else:
        require_wanted(lock, pins)
        chosen = _kept(pins, _same_versions(lock, pins))
    old, new = _exact(pins), _exact(chosen)
    require_same_bytes(lock, old, new)
    merged = {key: _merged(pins.get(key), pin) for key, pin in sorted(chosen.items())}
    text = _comment(lock.text) + "".join(f"{pin.text}\n" for pin in merged.values())
    return lock.text if old == _exact(merged) else text, old, _exact(merged)


def _pins(lock: LockFile) -> Iterator[Pin]:
    for number, line in logical_lines(lock.text):
        pin = read_pin(line)
        if pin is None:
            raise InputError(
                f"{lock.path}:{number} is not pinned with its hashes: {line[:120]!r}.",
                reference="unpinned-requirement",
                context={"file": lock.path, "line": number},
                hint=f"What is wanted belongs into {os.path.basename(os.path.splitext(lock.path)[0])}.in.",
            )
        yield pin


def _same_versions(lock: LockFile, pins: Mapping[str, Pin]) -> dict[str, Pin]:
    with tempfile.TemporaryDirectory(prefix="hyperopenx-lock-") as directory:
        path = os.path.join(directory, "requirements.txt")
        with open(path, "w", encoding="utf-8") as stream:
            stream.writelines(f"{pin.name}=={pin.version} {pin.marker}\n" for pin in pins.values())
        return _chosen(lock, ["--no-deps", "--requirement", path])


def _kept(pins: Mapping[str, Pin], chosen: Mapping[str, Pin]) -> dict[str, Pin]:
    """A requirement whose marker excludes this Python is as it was."""
    return {key: chosen.get(key, pin) for key, pin in pins.items()}


def _merged(old: Pin | None, new: Pin) -> Pin:
    """Files for other machines stay accepted while the version does."""
    if old is None or old.version != new.version:
        return Pin(new.name, new.version, old.marker if old else "", new.hashes)
    return Pin(old.name, old.version, old.marker, tuple(dict.fromkeys([*old.hashes, *new.hashes])))


def _chosen(lock: LockFile, what: Sequence[str]) -> dict[str, Pin]:
    with tempfile.TemporaryDirectory(prefix="hyperopenx-lock-") as directory:
        report = os.path.join(directory, "report.json")
        command = [sys.executable, "-m", "pip", *_of_python(lock), "--report", report, *what]
        beside = os.path.dirname(lock.path)  # what a requirements file names is found from there
        done = run(command, launch=Launch(directory=beside, environment={**os.environ, **_FIXED}), timeout=_SECONDS)
        if done.code != 0:
            raise unavailable(lock, done, "pip", lambda line: line.startswith("ERROR:"))
        with open(report, encoding="utf-8") as stream:
            items = json.load(stream)["install"]
    pins = (_pin(lock, item) for item in items)
    return {pin.key: pin for pin in pins}


def _of_python(lock: LockFile) -> list[str]:
    """The command of pip that chooses what fits the interpreter, or its version when it is not there."""
    if lock.python_version:
        return [*_OPTIONS, "--python-version", lock.python_version, "--implementation", "cp"]
    return ["--python", lock.tool or _PYTHON, *_OPTIONS]


def _pin(lock: LockFile, item: Mapping[str, Any]) -> Pin:
    facts = item["metadata"]
    digest = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256", "")
    if not digest or item.get("is_direct"):
        raise InputError(
            f"[{lock.part}]: no index has {facts['name']} {facts['version']} as a file with a sha256.",
            reference="unpinned-requirement",
            context={"part": lock.part, "package": facts["name"]},
        )
    return Pin(normalised(facts["name"]), facts["version"], "", (digest,))


def _exact(pins: Mapping[str, Pin]) -> dict[str, Exact]:
    return {key: Exact(pin.version, tuple(f"sha256:{digest}" for digest in pin.hashes)) for key, pin in pins.items()}


def _comment(text: str) -> str:
    """The lines above the first requirement."""
    kept = []
    for line in text.splitlines(keepends=True):
        if line.strip() and not line.lstrip().startswith("#"):
            break
        kept.append(line)
    return "".join(kept)
