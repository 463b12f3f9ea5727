"""A partition whose user turns against the node: names, links and pipes lead nobody out of the partition."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slapos.model.objects import Instance
from slapos.model.states import Health
from slapos.node import operations
from slapos.system.users import find_identity
from slapos.testing.waiting import wait_for
from tests.functional.node.harness import RealNode, Site, page, pages_answer


@pytest.fixture
def served(site: Site, node: RealNode) -> Instance:
    """An instance that serves."""
    site.order(text="victim")
    return site.wait(sentence="serving")


def give(node: RealNode, instance: Instance, path: Path) -> None:
    """To the user of the partition, as if it had made it."""
    user = node.config.partition_user(instance.partition)
    identity = find_identity(user) if user else None
    if identity is not None:
        os.lchown(path, identity.uid, identity.gid)


def test_hostile_service_names_are_said_and_not_run(site: Site, node: RealNode, served: Instance) -> None:
    before = page(served)
    folder = Path(node.partition(served), "etc", "service")
    for name in ("x]\n[program:evil]\ncommand=touch evil\nuser=root", "50%(x)s"):
        made = folder / name
        made.write_text("#!/bin/sh\nexec sleep 1000\n")
        made.chmod(0o700)
        give(node, served, made)
    link = folder / "linked"
    link.symlink_to("/bin/sleep")
    give(node, served, link)
    operations.run_once(node.config, "instance", only=[served.partition])
    found = site.wait(health=Health.ERROR, sentence="is not started")
    assert list(node.services()) == [f"{served.partition}:httpd"]
    assert page(found) == before
    for path in folder.iterdir():
        if path.name != "httpd":
            path.unlink()
    operations.run_once(node.config, "instance", only=[served.partition])
    site.wait(sentence="serving")


@pytest.mark.parametrize(
    "name", [".hyperopenx/instance.json", "buildout.cfg", "software_release", "default.cfg", "etc/settings.json"]
)
def test_links_in_place_of_files_are_replaced_or_refused(
    site: Site, node: RealNode, served: Instance, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    outside.chmod(0o600)
    path = Path(node.partition(served), name)
    path.unlink()
    path.symlink_to(outside)
    give(node, served, path)
    text = f"after {name}"
    site.order(text=text)
    wait_for(lambda: site.operator.instance(title="one").health in (Health.OK, Health.ERROR), 30, "it was processed")
    wait_for(lambda: outside.read_text() == "precious", 0, "the file outside is untouched")
    assert outside.stat().st_mode & 0o777 == 0o600
    if path.is_symlink() and name != "software_release":
        path.unlink()
        site.order(text=text, greeting="again")
    pages_answer(site.operator.instance(title="one"), text=text)
    site.wait(sentence="serving")


def test_private_directory_as_link_is_refused(site: Site, node: RealNode, served: Instance, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    private = Path(node.partition(served), ".hyperopenx")
    kept = private.with_name("kept")
    private.rename(kept)
    private.symlink_to(tmp_path)
    give(node, served, private)
    site.order(text="not written outside")
    site.wait(health=Health.ERROR, sentence="link")
    assert list(tmp_path.iterdir()) == []
    private.unlink()
    kept.rename(private)
    site.order(text="written inside")
    pages_answer(site.wait(sentence="serving"), text="written inside")


def test_pipe_in_place_of_a_file_blocks_nobody(site: Site, node: RealNode, served: Instance) -> None:
    path = Path(node.partition(served), f".slapos-request-transaction-{served.partition}")
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    give(node, served, path)
    document = Path(node.partition(served), ".hyperopenx", "instance.json")
    document.unlink()
    os.mkfifo(document)
    give(node, served, document)
    site.order(text="not blocked")
    pages_answer(site.wait(sentence="serving"), text="not blocked")
