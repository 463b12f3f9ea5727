"""One master and one node for all tests of bad input: after each of them both go on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slapos.model.states import SupplyReport
from slapos.testing.master import MasterServer
from slapos.testing.nodes import own_numbers
from tests.functional.bad_input.harness import Bench, Person
from tests.functional.node.harness import RealNode, open_directory


@pytest.fixture(scope="package")
def bench() -> Iterator[Bench]:
    """The daemon runs, the release ``hello`` is built."""
    number, prefix = own_numbers()
    with (
        open_directory() as directory,
        MasterServer(directory, release_roots=[str(directory / "releases")]) as master,
        RealNode(master, directory, number=number, name_prefix=prefix, partition_amount=8) as node,
    ):
        node.start()
        assert master.files is not None
        person = Person(directory, client_cfg=master.files.config_path, node_cfg=node.cfg)
        made = Bench(master, node, directory, person)
        made.supply(made.hello)
        made.settled(made.hello, SupplyReport.AVAILABLE)
        yield made
