"""Fixtures of the recipes' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cookbook.engine import Master, Partition, serving_master


@pytest.fixture
def partition(tmp_path: Path) -> Partition:
    return Partition(tmp_path / "slappart0")


@pytest.fixture
def master() -> Iterator[Master]:
    with serving_master() as running:
        yield running
