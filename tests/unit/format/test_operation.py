"""Formatting this machine, and undoing it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.build.toolchain_view import copies_of
from slapos.model.errors import Conflict, InputError
from slapos.node.config import NodeConfig
from slapos.node.format import deformat_node, format_node, make_format_plan, restore_addresses
from slapos.system.network import addresses_of, remove_address
from slapos.system.processes import Launch, check_run, run, start
from slapos.system.users import find_identity, identity


def config(directory: str, **more: object) -> NodeConfig:
    values = {
        "computer_id": "COMP-1",
        "master_url": "https://localhost",
        "software_root": f"{directory}/software",
        "instance_root": f"{directory}/instance",
        "state_directory": f"{directory}/state",
        "partition_amount": 2,
        "alter_user": False,
        "alter_network": False,
    }
    return NodeConfig(**{**values, **more})


def test_an_ordinary_user_formats(tmp_path: Path) -> None:
    made = format_node(config(str(tmp_path)))
    assert [partition.reference for partition in made.partitions] == ["slappart0", "slappart1"]
    assert made.partitions[1].addresses[0].ip == "127.1.2.1"
    assert made.network.startswith("lo-")
    assert {"os", "python", "version"} <= set(made.details)
    place = tmp_path / "instance" / "slappart0"
    assert stat.S_IMODE(place.stat().st_mode) == 0o750
    resource = place / ".slapos-resource"
    assert stat.S_IMODE(resource.stat().st_mode) == 0o644
    document = json.loads(resource.read_text())
    assert document["reference"] == "slappart0"
    assert resource.read_text() == json.dumps(document, indent=4, sort_keys=True)
    assert make_format_plan(config(str(tmp_path))).actions == ()
    assert deformat_node(config(str(tmp_path))) == ()


def test_a_second_format_leaves_what_is_in_the_partitions(tmp_path: Path) -> None:
    format_node(config(str(tmp_path)))
    (tmp_path / "instance" / "slappart0" / "data").write_text("stays")
    (tmp_path / "instance" / "slappart0" / ".slapos-resource").unlink()
    format_node(config(str(tmp_path), partition_amount=3))
    assert (tmp_path / "instance" / "slappart0" / "data").read_text() == "stays"
    assert (tmp_path / "instance" / "slappart2" / ".slapos-resource").exists()
    with pytest.raises(Conflict):
        format_node(config(str(tmp_path), partition_amount=2))


def test_a_link_in_the_place_of_a_partition_is_refused(tmp_path: Path) -> None:
    (tmp_path / "instance").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "instance" / "slappart0").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError) as caught:
        format_node(config(str(tmp_path)))
    assert caught.value.reference == "not-a-directory"


def test_a_link_in_the_place_of_the_description_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "instance" / "slappart0").mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "instance" / "slappart0" / ".slapos-resource").symlink_to(victim)
    format_node(config(str(tmp_path)))
    assert victim.read_text() == "untouched"


@pytest.fixture
def nodes() -> Iterator[list[NodeConfig]]:
    """Three on one machine, the last with IPv6 only, in a place that other users can reach."""
    directory = tempfile.mkdtemp(prefix="hox-format-", dir="/srv")
    os.chmod(directory, 0o755)
    more = {"alter_user": True, "alter_network": True}
    found = [
        config(f"{directory}/{number}", name_prefix=f"h{os.getpid()}{'abc'[number - 1]}", node_number=number, **more)
        for number in (1, 2)
    ]
    third = {"name_prefix": f"h{os.getpid()}c", "node_number": 3, "ipv4": False, **more}
    found.append(config(f"{directory}/3", **third))
    try:
        yield found
    finally:
        for node in found:
            deformat_node(node)
        shutil.rmtree(directory)


@pytest.mark.root
def test_three_nodes_on_one_machine(nodes: list[NodeConfig]) -> None:
    formats = [format_node(node) for node in nodes]
    assert len({made.network for made in formats}) == 1
    addresses = [address.ip for made in formats for part in made.partitions for address in part.addresses]
    assert len(addresses) == len(set(addresses)) == 10
    assert all(":" in address.ip for part in formats[2].partitions for address in part.addresses)
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.create_server((address, 0), family=family):
            pass
    for node in nodes:
        assert make_format_plan(node).actions == ()
        user = identity(node.partition_user("slappart1") or "")
        facts = os.stat(node.partition_directory("slappart1"))
        assert (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode)) == (user.uid, user.gid, 0o750)
        software = identity(node.software_user_name or "")
        assert software.gid in user.groups
        assert os.stat(node.software_root).st_uid == software.uid
        launch = Launch(user=user, directory="/")
        check_run(["/usr/bin/touch", node.partition_directory("slappart1") + "/own"], launch=launch)
        other = node.partition_directory("slappart0")
        assert run(["/bin/ls", other], launch=launch).code != 0, "another partition"


@pytest.mark.root
def test_what_was_made_is_undone_and_nothing_else(nodes: list[NodeConfig]) -> None:
    node = nodes[0]
    made = format_node(node)
    given = {address.ip for part in made.partitions for address in part.addresses if ":" in address.ip}
    assert given <= addresses_of("lo")
    user = identity(node.partition_user("slappart0") or "")
    process = start(["/bin/sleep", "300"], launch=Launch(user=user))
    copies = copies_of(user.uid)
    check_run(["/bin/mkdir", "-p", f"{copies}/usr/bin"], launch=Launch(user=user))
    removed = deformat_node(node)
    assert not os.path.exists(copies), "the next user with this number would own them"
    assert process.popen.wait(timeout=10) != 0
    assert user.name in removed
    assert find_identity(user.name) is None
    assert not given & addresses_of("lo")
    assert deformat_node(node) == ()


@pytest.mark.root
def test_addresses_come_back_after_a_restart(nodes: list[NodeConfig]) -> None:
    made = format_node(nodes[2])
    lost = [address.ip for part in made.partitions for address in part.addresses]
    for address in lost:
        remove_address("lo", address)
    assert restore_addresses(nodes[2]) == tuple(sorted(lost))
    assert set(lost) <= addresses_of("lo")
    assert restore_addresses(nodes[2]) == ()


@pytest.mark.root
def test_a_prefix_that_another_node_has_is_refused(nodes: list[NodeConfig]) -> None:
    format_node(nodes[0])
    twin = config(os.path.dirname(nodes[1].instance_root), name_prefix=nodes[0].name_prefix, alter_user=True)
    with pytest.raises(Conflict) as caught:
        format_node(twin)
    assert caught.value.reference == "user-taken"
    assert "name_prefix" in caught.value.hint
