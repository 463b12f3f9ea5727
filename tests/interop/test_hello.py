"""One release of the field, unchanged, on the real node and on ours: what it publishes and does is the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from slapos.model.objects import Instance, InstanceRequest
from slapos.model.states import Health, SupplyReport
from slapos.testing.nodes import NodeServer
from slapos.testing.waiting import wait_for
from tests.interop.stage import Stage, fetch, open_stage

pytestmark = pytest.mark.timeout(900)  # seconds; on a busy machine, the real tools take their time
BUILD_SECONDS = 280.0
SERVE_SECONDS = 90.0


@dataclass
class Both:
    """A master with two nodes that hold the release: the real one, and ours."""

    stage: Stage
    ours: NodeServer

    def on_the_real_one(self, name: str) -> Instance:
        """Ordered and processed with the real tools."""
        return self.stage.serve("real", "--parameters", f"name={name}")

    def on_ours(self, name: str) -> Instance:
        """Ordered and processed with ours."""
        operator, here = self.stage.master.operator, {"computer_guid": self.ours.reference}
        guid = operator.request(InstanceRequest("ours", self.stage.release, parameters={"name": name}, sla=here)).guid
        return wait_for(
            lambda: operator.instance(guid=guid),
            SERVE_SECONDS,
            "it is served by our node",
            until=lambda found: found.health is Health.OK,
        )

    def build(self) -> None:
        """By our node; the real one did when the stage was made."""
        operator, release = self.stage.master.operator, self.stage.release
        operator.supply(self.ours.reference, release)

        def reported() -> tuple[SupplyReport, str]:
            (supply,) = operator.node(self.ours.reference).supplies
            return supply.reported, supply.sentence

        settled = (SupplyReport.AVAILABLE, SupplyReport.ERROR)
        report, sentence = wait_for(
            reported, BUILD_SECONDS, "the release is built by our node", until=lambda found: found[0] in settled
        )
        assert report is SupplyReport.AVAILABLE, sentence


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    with open_stage("legacy") as stage, NodeServer(stage.master) as ours:
        made = Both(stage, ours)
        made.build()
        yield made


def test_the_same_is_published_and_served(both: Both) -> None:
    name = 'é <&> ${buildout:directory} {{ 1 + 1 }} "quoted"'
    real, own = both.on_the_real_one(name), both.on_ours(name)
    homes = [instance.connection["socket"].removesuffix("/var/run/http.sock") for instance in (real, own)]
    published = [
        {key: value.replace(home, "<partition>") for key, value in instance.connection.items()}
        for instance, home in zip((real, own), homes, strict=True)
    ]
    assert published[0] == published[1]
    assert set(published[0]) == {"socket", "release", "text"}
    assert fetch(own).startswith(f"Hello {name}, from ours.\nStructured: nothing")
    assert fetch(real).replace("from real.", "from ours.") == fetch(own)
    assert {result.name: result.ok for result in own.promises} == {"listening.py": True, "page.py": True}
