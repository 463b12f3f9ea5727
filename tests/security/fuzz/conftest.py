"""A real master with something to lose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slapos.slap.field_client import FieldClient
from slapos.testing.master import MasterServer
from slapos.wire import marshal

RELEASE = "http://release.invalid/software.cfg"


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MasterServer]:
    """A master with a node of the legacy project, four partitions, two instances and one shared."""
    with MasterServer(tmp_path_factory.mktemp("fuzz"), legacy=True) as server:
        client = FieldClient(master_url=server.legacy_url)
        client.post("requestComputer", {"computer_title": "fuzzed"})
        partitions = [{"reference": f"slappart{index}", "address_list": [], "tap": {"name": ""}} for index in range(4)]
        described = {"reference": "COMP-1", "address": "127.0.0.1", "netmask": "", "partition_list": partitions}
        client.post("loadComputerConfigurationFromXML", {"xml": marshal.dumps(described).decode()})
        client.post("supplySupply", {"url": RELEASE, "computer_id": "COMP-1", "state": "available"})
        for title, shared in (("one", False), ("two", False), ("shared", True)):
            order = {
                "software_release": RELEASE,
                "software_type": "default",
                "partition_reference": title,
                "partition_parameter_xml": marshal.dumps({"a": "b"}).decode(),
                "filter_xml": marshal.dumps({}).decode(),
                "state": marshal.dumps("started").decode(),
                "shared_xml": marshal.dumps(shared).decode(),
            }
            client.post("requestComputerPartition", order)
        yield server
