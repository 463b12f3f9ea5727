"""One pair of real masters per test file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slapos.testing.master import MasterServer
from tests.functional.forwarding.pair import BY_TLS, Pair, add_legacy_node, add_node, near_master


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with MasterServer(tmp_path_factory.mktemp("far"), legacy=True) as far:
        add_legacy_node(far, "far-node")
        add_node(far, BY_TLS)
        with near_master(tmp_path_factory.mktemp("near"), far) as near:
            yield Pair(near, far)
