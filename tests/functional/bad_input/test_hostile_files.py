"""Names and links that a partition puts where the node looks: nothing outside is touched, and the node says so."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slapos.model.objects import Instance
from slapos.system.users import find_identity
from slapos.testing.waiting import wait_for
from tests.functional.bad_input.harness import Bench
from tests.functional.node.harness import page

EVIL = "x]\n[program:evil]\ncommand=touch evil\nuser=root\n[y"
NAMES = (EVIL, "50%(ENV_HOME)s", "a b", "-rf", "a;touch evil", "\x1b]0;title\x07", "é", "x" * 200)


@pytest.fixture(scope="module")
def victim(bench: Bench) -> Iterator[Instance]:
    """An instance that serves, and whose user will turn against the node."""
    said = bench.person.json("request", "victim", bench.hello, "--wait")
    assert said.code == 0, said.err
    yield bench.operator.instance(title="victim")
    bench.destroy("victim")


@pytest.fixture
def partition(bench: Bench, victim: Instance) -> Path:
    return Path(bench.node.partition(victim))


def give(bench: Bench, victim: Instance, *paths: Path) -> None:
    """To the user of the partition, as if it had made them."""
    user = bench.node.config.partition_user(victim.partition)
    identity = find_identity(user) if user else None
    for path in paths if identity else ():
        assert identity is not None
        os.lchown(path, identity.uid, identity.gid)


def processed(bench: Bench, victim: Instance) -> dict[str, Any]:
    """The result of a round by hand."""
    said = bench.person.json("node", "instance", "--only", victim.partition)
    found: dict[str, Any] = json.loads(said.out)[0]
    return found


def test_names_are_not_obeyed_and_said(bench: Bench, victim: Instance, partition: Path) -> None:
    before, services = page(victim), bench.node.services()
    made = [partition / folder / name for folder in ("etc/service", "etc/run") for name in NAMES]
    for path in made:
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\ntouch evil\nexec sleep 1000\n")
        path.chmod(0o700)
    give(bench, victim, partition / "etc/run", *made)
    result = processed(bench, victim)
    assert result["settled"] == "failed"
    assert "is not started: a name may hold only letters, digits, dot, dash and underscore" in result["sentence"]
    assert "\x1b" not in bench.person.slapos("service", "info", "victim").out
    assert bench.node.services() == services
    assert page(victim) == before
    plan = bench.person.slapos("node", "plan", "--only", victim.partition).out
    assert len([line for line in plan.splitlines() if "a name may hold only" in line]) == len(NAMES)
    assert "\x1b" not in plan
    for path in made:
        path.unlink()
    assert processed(bench, victim)["settled"] == "ok"
    assert [str(path) for path in partition.rglob("evil*")] == []


@pytest.mark.parametrize("name", [EVIL, "50%(x)s", "a b"])
def test_promises_with_such_names_are_said(bench: Bench, victim: Instance, partition: Path, name: str) -> None:
    path = partition / "etc/promise" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\ntouch evil\n")
    path.chmod(0o700)
    give(bench, victim, path)
    bench.person.json("node", "promise", "--only", victim.partition)
    assert [str(found) for found in partition.rglob("evil")] == []
    path.unlink()


def serving_pid(victim: Instance) -> int | None:
    try:
        return int(page(victim)["pid"])
    except OSError:
        return None


def test_links_at_the_places_of_logs(bench: Bench, victim: Instance, partition: Path, tmp_path: Path) -> None:
    """Where the field keeps logs below the partition, and where ours lie: nobody writes through a link."""
    outside = tmp_path / "outside"
    outside.write_text("precious")
    outside.chmod(0o666)
    tmp_path.chmod(0o777)
    for folder in (".slapgrid/log", "var/log", ".hyperopenx"):
        (partition / folder).mkdir(parents=True, exist_ok=True)
        for name in ("instance.log", "buildout.log", "httpd.log", ".0_httpd.log", "promise.log"):
            link = partition / folder / name
            link.unlink(missing_ok=True)
            link.symlink_to(outside)
            give(bench, victim, link)
    bench.operator.request(bench.order("victim", text="after the links"))
    wait_for(lambda: page(victim)["text"], 30, "it is processed", until=lambda text: text == "after the links")
    killed = page(victim)["pid"]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: serving_pid(victim), 30, "it is started again", until=lambda pid: pid not in (None, killed))
    assert outside.read_text() == "precious"
    for link in list(partition.rglob("*.log")):
        if link.is_symlink():
            link.unlink()


@contextlib.contextmanager
def replaced_by_link(partition: Path, folder: str, target: Path) -> Iterator[Path]:
    place, kept = partition / folder, partition / "kept"
    moved = place.exists()
    if moved:
        place.rename(kept)
    place.symlink_to(target)
    try:
        yield place
    finally:
        place.unlink()
        if moved:
            kept.rename(place)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has somewhere to be led to")
@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("etc", "{partition}/etc: File exists"),
        ("etc/service", "{partition}/etc/service: File exists"),
        (".hyperopenx", "{partition}/.hyperopenx: a component is a link or not a directory"),
        (".slapgrid", "{partition}/.slapgrid: a component is a link or not a directory"),
        ("var", "serving"),  # of no interest to the node
    ],
)
def test_folders_that_are_links_lead_root_nowhere(
    bench: Bench, victim: Instance, partition: Path, folder: str, said: str, tmp_path: Path
) -> None:
    """Root's files below a folder that the partition turned into a link stay what they are."""
    before = page(victim)
    precious = tmp_path / "httpd"
    precious.write_text("#!/bin/sh\ntouch evil\n")
    precious.chmod(0o700)
    with replaced_by_link(partition, folder, tmp_path) as place:
        give(bench, victim, place)
        bench.operator.bang(victim.guid, "look")
        assert said.format(partition=partition) in processed(bench, victim)["sentence"]
        assert [path.name for path in tmp_path.iterdir()] == ["httpd"]
        assert precious.stat().st_uid == 0
        assert precious.stat().st_mode & 0o777 == 0o700
    assert processed(bench, victim)["settled"] == "ok"
    assert page(victim) == before
