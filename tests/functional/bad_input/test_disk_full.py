"""A full disk during a build and an instance: said, nothing half-done kept, continued once there is room."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.build.release import release_directory
from slapos.build.store.store import Store
from slapos.model.objects import Supply
from slapos.model.states import Health, SupplyReport
from slapos.node.config import write_config
from slapos.system.processes import check_run
from slapos.testing.nodes import own_numbers
from slapos.testing.waiting import wait_for
from tests.functional.bad_input.harness import Bench, Person
from tests.functional.node.harness import RealNode, page

TIB = 1024**4
MIB = 1024**2
WHOLE = """[buildout]
parts = whole tool

[whole]
recipe = hyperopenx:template
output = ${buildout:directory}/whole
inline = built once

[tool]
"""


def make_node(bench: Bench, directory: Path, name: str, **settings: int) -> RealNode:
    number, prefix = own_numbers()
    return RealNode(bench.master, directory, name=name, number=number, name_prefix=prefix, **settings)


@pytest.fixture(scope="module")
def wanting(bench: Bench) -> Iterator[RealNode]:
    """A node without a daemon that wants more free space than there is."""
    settings = {"software_min_free_space": 900 * TIB, "instance_min_free_space": 900 * TIB, "partition_amount": 1}
    with make_node(bench, bench.directory, "wanting", **settings) as node:
        bench.operator.supply(node.reference, bench.hello)
        bench.operator.request(bench.order("wanting", sla={"computer_guid": node.reference}))
        yield node


def test_too_little_room_is_seen_before_anything_is_begun(bench: Bench, wanting: RealNode) -> None:
    person = Person(bench.directory, client_cfg="", node_cfg=wanting.cfg)
    said = person.slapos("node", "software")
    assert said.code == 1
    assert "error disk-full: " in said.out
    assert "are free, 900.0 TiB are needed." in said.out
    assert "→ Free some space on that file system" in said.out
    modest = dataclasses.replace(wanting.config, software_min_free_space=1024)
    write_config(wanting.cfg, modest)
    assert person.slapos("node", "software").code == 0

    assert person.slapos("node", "instance").code == 1
    found = bench.info("wanting")
    assert (found["health"], found["error"]["reference"]) == ("error", "disk-full")
    assert os.listdir(wanting.config.partition_directory("slappart0")) == [".slapos-resource"]
    write_config(wanting.cfg, dataclasses.replace(modest, instance_min_free_space=1024))
    assert person.slapos("node", "instance").code == 0
    assert bench.info("wanting")["health"] == "ok"
    bench.operator.request(bench.order("wanting", state="destroyed"))
    assert person.slapos("node", "instance").code == 0


def pack(path: Path, makefile: str) -> str:
    """A source for cmmi at ``path``; its sha256."""
    with tarfile.open(path, "w:gz") as archive:
        for member, text in (("configure", "#!/bin/sh\n"), ("Makefile", makefile)):
            info = tarfile.TarInfo(f"tool/{member}")
            info.size, info.mode = len(text), 0o755
            archive.addfile(info, io.BytesIO(text.encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_command_that_finds_the_disk_full(bench: Bench) -> None:
    """``/dev/full`` is a full disk for everybody."""
    release = Path(bench.new_release("full", ""))
    source = release.with_name("tool.tar.gz")
    sha256 = pack(source, "all:\n\tcat Makefile > /dev/full\ninstall:\n")
    release.write_text(f"{WHOLE}recipe = hyperopenx:cmmi\nurl = {source}\nsha256 = {sha256}\n")
    bench.supply(str(release))
    error = bench.settled(str(release), SupplyReport.ERROR).error
    assert error["reference"] == "disk-full"
    assert error["message"].startswith("tool: The disk is full: ")
    assert "No space left on device" in error["message"]
    assert "the next run continues from what was whole" in error["hint"]
    assert Path(error["context"]["log"]).exists()
    assert bench.person.slapos("remove", str(release), bench.node.reference).code == 0


class SmallDisk:
    """A file system of a few megabytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.filler = path / "filler"

    def __enter__(self) -> SmallDisk:
        self.path.mkdir()
        check_run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0755", "none", str(self.path)])
        return self

    def __exit__(self, *_: object) -> None:
        check_run(["umount", "--lazy", str(self.path)])

    def fill(self, leave: int = 0) -> None:
        """Until nothing, or ``leave`` bytes, can be written."""
        with open(self.filler, "wb", buffering=0) as stream:
            try:
                while stream.write(bytes(65536)):
                    pass
            except OSError:
                stream.truncate(max(0, stream.tell() - leave))

    def free(self) -> None:
        self.filler.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def disk(bench: Bench) -> Iterator[SmallDisk]:
    with SmallDisk(bench.directory / "small") as made:
        yield made


@pytest.fixture(scope="module")
def small(bench: Bench, disk: SmallDisk) -> Iterator[RealNode]:
    """A node with everything on a small disk, its memory and logs too; it serves an instance."""
    with make_node(bench, disk.path, "small", partition_amount=1) as node:
        node.start()
        bench.operator.supply(node.reference, bench.hello)
        bench.operator.request(bench.order("small", sla={"computer_guid": node.reference}, text="before"))
        bench.waits_for("small", health="ok")
        yield node
        disk.free()


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")


@pytest.mark.root
@root_only
def test_full_disk_during_an_instance(bench: Bench, disk: SmallDisk, small: RealNode) -> None:
    served = bench.operator.instance(title="small")
    before = page(served)
    disk.fill()
    bench.operator.request(bench.order("small", sla={"computer_guid": small.reference}, text="after"))
    found = bench.waits_for("small", health="error")
    assert found["error"]["reference"] == "disk-full", found["sentence"]
    assert "The disk is full: " in found["sentence"]
    assert str(disk.path) in found["sentence"]
    assert found["error"]["hint"].startswith("Free some space on that file system")
    assert page(served) == before
    status = Person(bench.directory, client_cfg="", node_cfg=small.cfg).slapos("node", "status")
    assert status.code == 0
    assert re.search(r"^daemon +running", status.out, re.MULTILINE), status.out
    disk.free()
    wait_for(lambda: page(served)["text"], 60, "the change is served", until=lambda text: text == "after")
    assert bench.waits_for("small", health="ok")["error"] == {}
    assert page(served)["pid"] == before["pid"]
    assert not list(Path(small.partition(served)).rglob("*.tmp"))


@pytest.mark.root
@root_only
def test_daemon_killed_on_a_full_disk_comes_back(bench: Bench, disk: SmallDisk, small: RealNode) -> None:
    served = bench.operator.instance(title="small")
    pid = page(served)["pid"]
    disk.fill()
    small.kill()
    small.start()
    assert page(served)["pid"] == pid
    disk.free()
    bench.operator.request(bench.order("small", sla={"computer_guid": small.reference}, text="again"))
    wait_for(lambda: page(served)["text"], 60, "the change is served", until=lambda text: text == "again")
    assert page(served)["pid"] == pid


@pytest.mark.root
@root_only
@pytest.mark.parametrize("kind", ["download", "cmmi"])
def test_full_disk_during_a_build(bench: Bench, disk: SmallDisk, small: RealNode, kind: str) -> None:
    release = Path(bench.new_release(f"large-{kind}", ""))
    directory = release_directory(small.config.software_root, str(release))
    source = release.with_name("source")
    if kind == "download":
        source.write_bytes(os.urandom(7 * 1024) * 1024)
        sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    else:
        large = "$(DESTDIR)$(PREFIX)"
        sha256 = pack(source, f"all:\ninstall:\n\tmkdir -p {large}\n\thead -c {9 * MIB} /dev/zero > {large}/large\n")
    release.write_text(f"{WHOLE}recipe = hyperopenx:{kind}\nurl = {source}\nsha256 = {sha256}\n")
    private, stored = "location = ${buildout:parts-directory}/tool\n", "make-options = PREFIX=@@LOCATION@@\n"
    release.write_text(release.read_text() + (private if kind == "download" else stored))
    disk.fill(leave=(10 if kind == "download" else 6) * MIB)
    bench.operator.supply(small.reference, str(release))

    def supply() -> Supply:
        return next(item for item in bench.operator.node(small.reference).supplies if item.release == str(release))

    failed = wait_for(supply, 60, "it fails", until=lambda item: item.reported is SupplyReport.ERROR)
    assert failed.error["reference"] == "disk-full", failed
    assert failed.sentence.startswith("tool: The disk is full: ")
    assert failed.error["context"]["part"] == "tool"
    whole = os.stat(os.path.join(directory, "whole"))
    assert not os.path.exists(os.path.join(directory, "parts", "tool"))
    assert list(Store(small.config.store_root).parts()) == []
    assert not os.path.exists(os.path.join(directory, ".completed"))
    left = [path for path in disk.path.rglob("*") if path.is_file() and path.stat().st_size > MIB]
    assert [path for path in left if path.parent.name != "sha256"] == [disk.filler]  # what was fetched is whole
    assert bench.operator.instance(title="small").health is Health.OK
    disk.free()
    wait_for(supply, 60, "it is built", until=lambda item: item.reported is SupplyReport.AVAILABLE)
    assert os.stat(os.path.join(directory, "whole")).st_ino == whole.st_ino
    assert supply().error == {}
    bench.person.slapos("remove", str(release), small.reference)
    wait_for(lambda: not os.path.exists(directory), 30, "it is removed")
