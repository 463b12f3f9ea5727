"""A release written for the field, with nothing of ours in it, built and run by our node (tests/interop: by the real
one)."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.build.release import release_directory
from slapos.model.objects import Instance
from slapos.model.states import Health, SupplyReport
from slapos.testing.waiting import wait_for
from tests.functional.node.harness import RealNode, Site

BUILD_SECONDS = 280.0
pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def node(site: Site) -> Iterator[RealNode]:
    """A node that built the release."""
    site.release = str(site.directory / "releases" / "field" / "software.cfg")
    with RealNode(site.master, site.directory) as made:
        made.start()
        site.operator.supply(made.reference, site.release)
        wait_for(lambda: reported(site, made), BUILD_SECONDS, "the release is built", until=lambda found: found != "")
        assert reported(site, made) == "available"
        yield made


def reported(site: Site, node: RealNode) -> str:
    for supply in site.operator.node(node.reference).supplies:
        if supply.release == site.release and supply.reported in (SupplyReport.AVAILABLE, SupplyReport.ERROR):
            return "available" if supply.reported is SupplyReport.AVAILABLE else supply.sentence
    return ""


class _Local(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def page(instance: Instance) -> str:
    connection = _Local(instance.connection["socket"])
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    except OSError:
        return ""
    finally:
        connection.close()


def test_the_release_of_the_field_is_built_without_slapos_core(site: Site, node: RealNode) -> None:
    eggs = Path(release_directory(node.config.software_root, site.release)) / "eggs"
    [core] = eggs.glob("slapos.core-*")
    assert (core / "slapos" / "slap").is_symlink()


def test_it_serves_and_publishes_the_same(site: Site, node: RealNode) -> None:
    site.order(name="é <world> ${buildout:directory}")
    instance = site.wait(seconds=90)
    partition = node.partition(instance)
    assert instance.connection == {
        "socket": f"{partition}/var/run/http.sock",
        "release": site.release,
        "text": "é <&> \"quoted\" 'too'",
    }
    wait_for(lambda: page(instance), 20, "the page is served", until=lambda text: text != "")
    assert page(instance).startswith("Hello é <world> ${buildout:directory}, from one.\nStructured: nothing")
    assert {result.name: result.ok for result in instance.promises} == {"listening.py": True, "page.py": True}


def test_its_promises_see_what_breaks(site: Site, node: RealNode) -> None:
    instance = site.wait()
    os.unlink(f"{node.partition(instance)}/srv/www/index.html")
    site.order(name="again")
    site.wait(after=instance.timestamp, seconds=60)
    wait_for(lambda: page(instance), 20, "the page is made again", until=lambda text: text.startswith("Hello again"))
    os.unlink(f"{node.partition(instance)}/var/run/http.sock")
    site.order(name="once more")
    broken = site.wait(health=Health.ERROR, sentence="listening")
    assert {result.name: result.ok for result in broken.promises} == {"listening.py": False, "page.py": True}
    assert any("No such file or directory" in result.message for result in broken.promises)
