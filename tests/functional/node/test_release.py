"""Releases of a node: built, failing with a sentence, used and therefore kept, changed, removed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.build.release import release_directory
from slapos.model.errors import Conflict
from slapos.model.states import Health, SupplyReport, SupplyState
from slapos.node import operations
from slapos.testing.waiting import wait_for
from tests.functional.node.harness import RealNode, Site


def test_failing_build_is_said_and_built_once_corrected(site: Site, node: RealNode) -> None:
    profile = site.directory / "releases" / "broken.cfg"
    profile.write_text("[buildout]\nparts = a\n[a]\nrecipe = hyperopenx:template\n")
    broken = Site(site.master, site.directory)
    broken.release = str(profile)
    broken.operator.supply(node.reference, broken.release)
    sentence = broken.wait_for_release(node, SupplyReport.ERROR)
    assert "output" in sentence or "inline" in sentence or "url" in sentence
    broken.order("early", node=node)
    broken.wait("early", Health.WAITING, sentence="waiting for its release")
    profile.write_text(
        Path(site.release).read_text().replace("${:_profile_base_location_}", "${:_profile_base_location_}/hello")
    )
    broken.wait_for_release(node, SupplyReport.AVAILABLE)
    broken.wait("early", sentence="serving")


def test_release_goes_once_nobody_uses_it(site: Site, node: RealNode) -> None:
    site.order(text="user")
    site.wait(sentence="serving")
    directory = release_directory(node.config.software_root, site.release)
    with pytest.raises(Conflict, match="use the release"):
        site.operator.supply(node.reference, site.release, SupplyState.DESTROYED)
    site.order(state="destroyed")
    wait_for(lambda: site.operator.node(node.reference).busy == 1, 40, "only the other release's instance is left")
    site.operator.supply(node.reference, site.release, SupplyState.DESTROYED)
    wait_for(lambda: not os.path.exists(directory), 40, "the unused release is removed")
    wait_for(lambda: site.release not in releases(node), 20, "and forgotten")
    site.supply(node)
    assert os.path.isdir(directory)


def releases(node: RealNode) -> list[str]:
    """That this node wants or remembers, wished available."""
    return [item["release"] for item in operations.status(node.config)["releases"] if item["wanted"] == "available"]


@pytest.fixture(params=["software.cfg", "instance.cfg.in"])
def changed(site: Site, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file of the release, which now has other bytes under the same URL."""
    path = Path(site.release).with_name(request.param)
    before = path.read_text()
    path.write_text(before + "\n# changed\n")
    yield path
    path.write_text(before)


def test_changed_release_is_seen(site: Site, node: RealNode, changed: Path) -> None:
    (plan,) = operations.plan_node(node.config, [site.release])
    assert plan.actions == ()
    assert f"{changed} changed since it was built" in plan.skips[0].reason


def test_plan_says_what_would_be_done_and_does_nothing(site: Site, node: RealNode) -> None:
    node.kill()
    site.order("planned", node=node, text="not yet")
    text = operations.plan_text(node.config)
    partition = site.operator.instance(title="planned").partition
    assert f"{partition}:\n  prepare the directory of {partition}: planned moves in" in text
    assert f"run buildout in {partition}: it never ran here" in text
    assert os.listdir(node.config.partition_directory(partition)) == [".slapos-resource"]
    node.start()
    site.wait("planned", sentence="serving")


def test_status_without_the_master(site: Site, node: RealNode) -> None:
    site.wait("planned")
    found = operations.status(node.config)
    assert (found["daemon"], found["supervisor"]) == (True, True)
    partition = next(item for item in found["partitions"] if item["title"] == "planned")
    assert [service["name"] for service in partition["services"]] == ["httpd"]
    assert partition["services"][0]["state"] == "running"
    assert [promise["ok"] for promise in partition["promises"]] == [True]
