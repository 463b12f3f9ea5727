"""What the tests of this release share; also makes ``tests.…`` of the repository importable."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.testing.builds import keep_build
from slapos.testing.cloud import Cloud
from slapos.testing.repositories import Repository, serve_repository

TOP = Path(__file__).resolve().parents[3]
sys.path.append(str(TOP))


@pytest.fixture(name="cloud", scope="session")
def fixture_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A master and a node that holds the compiled release."""
    with Cloud(tmp_path_factory.mktemp("cloud"), kept=keep_build("website", TOP)) as made:
        yield made


@pytest.fixture(name="server")
def fixture_server(tmp_path: Path) -> Iterator[Repository]:
    with serve_repository(tmp_path / "site.git") as served:
        yield served
