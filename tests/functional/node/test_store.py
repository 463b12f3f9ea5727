"""The store of a node: built by the user that builds, shared by releases, read by partitions, changed by none."""

from __future__ import annotations

import io
import os
import pwd
import stat
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from slapos.build.release import read_record, release_directory
from slapos.build.store.store import Store, StoredPart
from slapos.build.store.unused import remove_unused
from slapos.model.states import SupplyReport, SupplyState
from slapos.system.processes import Launch, run
from slapos.system.users import identity
from slapos.testing.waiting import wait_for
from tests.functional.node.harness import RealNode, Site

MAKEFILE = "all:\n\techo made > tool\ninstall:\n\tmkdir -p $(DESTDIR)$(PREFIX)\n\tcp tool $(DESTDIR)$(PREFIX)/\n"
RELEASE = """
[buildout]
parts = tool user
[tool]
recipe = hyperopenx:cmmi
url = {source}
sha256 = {sha256}
make-options = PREFIX=@@LOCATION@@
promises = @@LOCATION@@/tool
[user]
recipe = hyperopenx:template
inline = {name} uses ${{tool:location}}
output = ${{buildout:directory}}/user
"""


@pytest.fixture(scope="module")
def releases(site: Site) -> list[str]:
    """Two profiles with the same part."""
    directory = site.directory / "releases" / "stored"
    directory.mkdir()
    source = directory / "tool.tar"
    with tarfile.open(source, "w") as tar:
        member = tarfile.TarInfo("tool-1/Makefile")
        member.size = len(MAKEFILE)
        tar.addfile(member, io.BytesIO(MAKEFILE.encode()))
    profiles = []
    for name in ("first", "second"):
        profile = directory / f"{name}.cfg"
        digest = sha256(source.read_bytes()).hexdigest()
        profile.write_text(RELEASE.format(source=source, sha256=digest, name=name))
        profiles.append(str(profile))
    return profiles


@pytest.fixture(scope="module")
def store_of(site: Site, node: RealNode, releases: list[str]) -> Iterator[Store]:
    for release in releases:
        supplied = Site(site.master, site.directory)
        supplied.release = release
        supplied.operator.supply(node.reference, release)
        supplied.wait_for_release(node, SupplyReport.AVAILABLE)
    yield Store(node.config.store_root)


def only_part(store: Store) -> StoredPart:
    (part,) = store.parts()
    return part


def test_releases_share_a_part_and_record_it(node: RealNode, store_of: Store, releases: list[str]) -> None:
    part = only_part(store_of)
    assert part.location.startswith(f"{os.path.dirname(node.config.software_root)}/store/tool/")
    for release, name in zip(releases, ("first", "second"), strict=True):
        directory = release_directory(node.config.software_root, release)
        assert Path(directory, "user").read_text().strip() == f"{name} uses {part.location}"
        record = read_record(directory)
        assert record is not None
        assert record.stored == {"tool": part.digest}
    assert Path(part.location, "tool").read_text() == "made\n"


def test_it_belongs_to_who_builds(node: RealNode, store_of: Store) -> None:
    part = only_part(store_of)
    builder = node.config.software_user_name or pwd.getpwuid(os.geteuid()).pw_name
    for path in (store_of.root, part.location, f"{part.location}/tool"):
        facts = os.stat(path)
        assert pwd.getpwuid(facts.st_uid).pw_name == builder
        assert facts.st_mode & 0o022 == 0
        assert facts.st_mode & stat.S_IROTH
    assert part.record.builder.startswith(f"{builder}@")


@pytest.mark.root
def test_a_partition_reads_it_and_neither_writes_nor_disturbs(node: RealNode, store_of: Store) -> None:
    part = only_part(store_of)
    user = identity(node.config.partition_user("slappart0") or "")

    def attempt(command: str) -> int | None:
        return run(["/bin/sh", "-c", command], launch=Launch(user=user)).code

    assert attempt(f"grep -q made {part.location}/tool") == 0
    for command in (
        f"touch {store_of.root}/new",
        f"touch {part.location}/new",
        f"echo other > {part.location}/tool",
        f"rm -rf {part.location}",
        f"ls {store_of.root}/.locks",
        f"ls {store_of.root}/.work",
        f"ls {store_of.root}/.users",
    ):
        assert attempt(command) not in (0, None), command
    assert Path(part.location, "tool").read_text() == "made\n"


def test_a_part_goes_after_the_last_release_that_uses_it(
    site: Site, node: RealNode, store_of: Store, releases: list[str]
) -> None:
    for number, release in enumerate(releases, start=1):
        site.operator.supply(node.reference, release, SupplyState.DESTROYED)
        directory = release_directory(node.config.software_root, release)
        wait_for(lambda path=directory: not os.path.exists(path), 40, "the release is removed")
        assert len(remove_unused(store_of, 0.0).removed) == (1 if number == len(releases) else 0)
    assert list(store_of.parts()) == []
