"""Programs that run once: one that fails is told, not repeated, and has its next chance after a change."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from slapos.model.objects import Instance
from slapos.model.states import Health
from tests.functional.node.harness import RealNode, Site

SOFTWARE = """
[buildout]
parts = instance.cfg
[instance.cfg]
recipe = hyperopenx:template
url = ${:_profile_base_location_}/instance.cfg.in
output = ${buildout:directory}/instance.cfg
mode = 0644
"""
INSTANCE = """
[buildout]
parts = setup
[slap-configuration]
recipe = hyperopenx:slapconfiguration
[setup]
recipe = hyperopenx:wrapper
command-line = /bin/sh -c "echo x >> ran; echo it began; test -e code"
wrapper-path = $${buildout:directory}/etc/run/setup
"""


@pytest.fixture
def once(site: Site, node: RealNode) -> Site:
    """The release of this test, built."""
    directory = site.directory / "releases" / "once"
    directory.mkdir()
    (directory / "software.cfg").write_text(SOFTWARE)
    (directory / "instance.cfg.in").write_text(INSTANCE)
    found = Site(site.master, site.directory)
    found.release = str(directory / "software.cfg")
    found.supply(node)
    return found


def partition(node: RealNode, instance: Instance) -> Path:
    return Path(node.config.partition_directory(instance.partition))


def test_a_failed_one_shot(once: Site, node: RealNode) -> None:
    once.order("once", node=node)
    failed = once.wait("once", Health.ERROR, sentence="setup of etc/run ended with exit status 1; ")
    log = failed.sentence.rpartition(" ")[2]
    assert "it began" in Path(log).read_text()
    directory = partition(node, failed)
    time.sleep(4)
    assert (directory / "ran").read_text() == "x\n", "it is not tried in a loop"
    (directory / "code").touch()
    once.operator.bang(failed.guid, "try again")
    done = once.wait("once", Health.OK, after=failed.timestamp)
    assert (directory / "ran").read_text() == "x\nx\n", done.sentence
