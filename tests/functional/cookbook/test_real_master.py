"""Recipes of an instance against a real master: what it is told, what it answers, what it signs."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slapos.model.objects import InstanceRequest
from slapos.pki.certificates import describe, issued_by
from slapos.slap.client import Client
from slapos.testing.master import MasterServer
from tests.unit.cookbook.engine import Partition

PROFILE = """
[buildout]
parts = slap-configuration tls backend publish
[slap-configuration]
recipe = hyperopenx:slapconfiguration.serialised
[tls]
recipe = hyperopenx:certificate
[backend]
recipe = hyperopenx:request.serialised
name = backend
software-url = ${slap-connection:software-release-url}
software-type = backend
config-title = ${slap-configuration:configuration.title}
return = url
[publish]
recipe = hyperopenx:publish.serialised
url = ${backend:connection-url}
"""
BACKEND = """
[buildout]
parts = publish
[slap-configuration]
recipe = hyperopenx:slapconfiguration.serialised
[publish]
recipe = hyperopenx:publish.serialised
-extends = early
url = echo ${slap-configuration:configuration.title}
[early]
recipe = hyperopenx:publish-early
-init = password secret:passwd
[secret]
recipe = hyperopenx:password
storage-path =
"""
TITLE = "${buildout:directory} {{ x }} %(y)s '\"\n; # 🙂 "


@dataclass
class Site:
    """A master with a node of three partitions on which a release is supplied."""

    master: MasterServer
    node: str
    node_client: Client
    release: str


@pytest.fixture(name="site")
def make_site(tmp_path: Path) -> Iterator[Site]:
    release = tmp_path / "releases" / "software.cfg"
    release.parent.mkdir()
    release.write_text("[buildout]\nparts =\n")
    with MasterServer(tmp_path / "site", release_roots=[str(release.parent)]) as master:
        node, client = master.client_for_new_node(partitions=3)
        master.operator.supply(node, str(release))
        yield Site(master, node, client, str(release))


def section_for(site: Site, guid: str, partition: str) -> dict[str, str]:
    """``[slap-connection]`` with the certificate of the instance itself."""
    site.master.client_for_instance(guid, site.node_client)
    clients = site.master.directory / "clients"
    return {
        "computer-id": site.node,
        "partition-id": partition,
        "server-url": site.master.url,
        "software-release-url": site.release,
        "key-file": str(clients / f"{guid}.key"),
        "cert-file": str(clients / f"{guid}.pem"),
        "ca-file": site.master.ca_file,
        "requested-state": "started",
        "instance-guid": guid,
    }


def test_a_tree_of_two_publishes_through_its_recipes(site: Site, tmp_path: Path) -> None:
    operator = site.master.operator
    order = InstanceRequest("front", site.release, parameters={"_": json.dumps({"title": TITLE})})
    root = operator.request(order)
    front = Partition(tmp_path / root.partition)
    section = section_for(site, root.guid, root.partition)

    def process() -> Any:
        return front.run(PROFILE, slap__connection=section)

    report = process()
    assert report.sentence == "waiting for backend: url"
    assert front.outcomes(report) == {
        "slap-configuration": "installed",
        "tls": "installed",
        "backend": "waiting",
        "publish": "blocked",
    }
    (child,) = (tree.instance for tree in operator.tree(guid=root.guid).children)
    assert json.loads(child.parameters["_"]) == {"title": TITLE}
    back = Partition(tmp_path / child.partition)
    for _ in range(2):
        back.done(BACKEND, slap__connection=section_for(site, child.guid, child.partition))
    published = json.loads(operator.instance(guid=child.guid).connection["_"])
    assert published == {"url": f"echo {TITLE}", "password": back.option("secret", "passwd")}
    assert process().outcome == "done"
    assert json.loads(operator.instance(guid=root.guid).connection["_"]) == {"url": f"echo {TITLE}"}
    assert (front.directory / f".slapos-request-transaction-{root.partition}").read_text() == "backend\nbackend\n"


def test_the_authority_signs_for_the_addresses_of_the_partition(site: Site, tmp_path: Path) -> None:
    root = site.master.operator.request(InstanceRequest("front", site.release))
    front = Partition(tmp_path / root.partition)
    tls = "[buildout]\nparts = tls\n[tls]\nrecipe = hyperopenx:certificate\n"
    front.done(tls, slap__connection=section_for(site, root.guid, root.partition))
    directory = front.directory / "etc/ssl"
    certificate = (directory / "tls.crt").read_text()
    assert set(describe(certificate).addresses) == {address.ip for address in root.addresses}
    assert issued_by(certificate, Path(site.master.ca_file).read_text())
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(directory / "tls.chain.crt", directory / "tls.key")
    report = front.run(
        tls + "names = evil.example.org\n", slap__connection=section_for(site, root.guid, root.partition)
    )
    assert report.first_error is not None and report.first_error.reference == "name-not-allowed"
    assert (directory / "tls.crt").read_text() == certificate
