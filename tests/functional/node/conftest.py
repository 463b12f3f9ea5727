"""One master and one node with its release built, for each test module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slapos.testing.master import MasterServer
from tests.functional.node.harness import RealNode, Site, open_directory


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A running master and a directory."""
    with (
        open_directory() as directory,
        MasterServer(directory, release_roots=[str(directory / "releases")]) as master,
    ):
        yield Site(master, directory)


@pytest.fixture(scope="module")
def node(site: Site) -> Iterator[RealNode]:
    """A node whose daemon runs and that holds the release."""
    with RealNode(site.master, site.directory) as made:
        made.start()
        site.supply(made)
        yield made
