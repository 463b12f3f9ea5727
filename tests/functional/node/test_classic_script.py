"""A script of the field in a partition: it names key and certificate, as they all do, and no authority."""

from __future__ import annotations

import pytest

from slapos.node.context import layout_of
from slapos.slap.slap import slap
from tests.functional.node.harness import RealNode, Site


def test_a_script_that_names_no_authority_works_in_a_partition(
    site: Site, node: RealNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLAPOS_MASTER_CA_FILE", raising=False)
    site.order("scripted", text="é")
    instance = site.wait("scripted")
    paths = layout_of(node.config)
    connection = slap()
    connection.initializeConnection(
        node.config.master_url, paths.key(instance.partition), paths.certificate(instance.partition)
    )
    partition = connection.registerComputerPartition(node.reference, instance.partition)
    assert partition.getInstanceGuid() == instance.guid
    assert partition.getInstanceParameterDict()["text"] == "é"
    partition.setConnectionDict({**partition.getConnectionParameterDict(), "said-by": "a script"})
    assert site.operator.instance(title="scripted").connection["said-by"] == "a script"
    site.order("scripted", state="destroyed")
