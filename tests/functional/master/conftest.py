"""One real master per test file, over TLS on the loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.slap.client import Client
from slapos.testing.master import MasterServer


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory below which releases may be read."""
    return tmp_path_factory.mktemp("releases")


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory, releases: Path) -> Iterator[MasterServer]:
    """A running master."""
    directory = tmp_path_factory.mktemp("master")
    with MasterServer(directory, release_roots=[str(releases)], certificate_names=["*.sites.example.org"]) as server:
        yield server


@pytest.fixture(scope="module")
def operator(master: MasterServer) -> Client:
    """A client of the first operator."""
    return master.operator


@pytest.fixture(scope="module")
def release(releases: Path) -> str:
    """A release without schemas."""
    path = releases / "plain" / "software.cfg"
    path.parent.mkdir()
    path.write_text("[buildout]\nparts =\n")
    return str(path)
