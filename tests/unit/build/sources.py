"""Source archives made by the tests, and releases built from them as a node does."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from slapos.build.job import Job, Result
from slapos.build.run import execute
from slapos.build.store.store import Store
from slapos.model.errors import HyperopenxError, from_data
from tests.unit.build.profiles import write_profile


def archive(path: Path, files: Mapping[str, str]) -> str:
    """A tar file with ``files`` (name → text) below one directory; the lines ``url`` and ``sha256`` of a section."""
    with tarfile.open(path, "w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"source-1.0/{name}")
            data = text.encode()
            member.size, member.mode = len(data), 0o755 if text.startswith("#!") else 0o644
            tar.addfile(member, io.BytesIO(data))
    return f"url = {path}\nsha256 = {hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def only_wheels_of(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``directory``, where pip looks from now on, and nowhere else."""
    for name, value in {"FIND_LINKS": str(directory), "NO_INDEX": "1", "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return directory


def build(directory: Path, text: str, **overrides: str) -> Result:
    """Build the profile in ``directory / "work"`` with the store ``directory / "store"``."""
    (directory / "work").mkdir(exist_ok=True)
    named = {"store": str(directory / "store"), "download-cache": str(directory / "downloads"), **overrides}
    job = Job("build", str(directory / "work"), write_profile(directory, text), "", overrides={"buildout": named})
    return execute(job)


def built(directory: Path, part: str) -> Path:
    """Where the store has the part."""
    found = [item.location for item in Store((str(directory / "store"),)).parts() if item.record.inputs.part == part]
    assert len(found) == 1, found
    return Path(found[0])


def failure(result: Result) -> HyperopenxError:
    """What was wrong."""
    assert result.outcome == "failed", result.sentence
    assert result.error is not None
    return from_data(result.error)
