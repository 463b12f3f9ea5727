"""Directories, passwords and ports."""

from __future__ import annotations

import json
import socket

import pytest

from slapos.model.errors import Conflict, ProfileError
from slapos.system.network import is_port_free
from tests.unit.cookbook.engine import Partition

PORTS = """
[buildout]
parts = show
[show]
recipe = hyperopenx:mkdirectory
x = ${buildout:directory}/${one:port}-${two:port}
[one]
recipe = hyperopenx:port
ip = 127.0.0.1
[two]
recipe = hyperopenx:free_port
ip = 127.0.0.1
"""

PASSWORD = "[buildout]\nparts = secret\n[secret]\nrecipe = hyperopenx:password\n"


def test_directories_are_made_again_and_never_removed(partition: Partition) -> None:
    profile = "[buildout]\nparts = d\n[d]\nrecipe = hyperopenx:mkdirectory\nmode = 0700\nlog = var/log\n"
    partition.done(profile + "data = ${buildout:directory}/srv/${given:name}\n", given={"name": "a b"})
    data, log = partition.directory / "srv/a b", partition.directory / "var/log"
    assert data.is_dir() and log.stat().st_mode & 0o777 == 0o700
    assert partition.option("d", "log") == str(log)
    (data / "kept").touch()
    log.rmdir()
    partition.done(profile)
    assert log.is_dir() and (data / "kept").exists()


@pytest.mark.parametrize("path", ["/outside", "../x", "a/../../x", "a\0b", "."])
def test_directories_lie_in_the_partition(partition: Partition, path: str) -> None:
    profile = "[buildout]\nparts = d\n[d]\nrecipe = hyperopenx:mkdirectory\ndata = ${given:path}\n"
    with pytest.raises(ProfileError) as caught:
        partition.done(profile, given={"path": path})
    assert caught.value.context["option"] == "data"


def test_a_password_is_made_once_and_only_its_owner_reads_it(partition: Partition) -> None:
    partition.done(PASSWORD)
    first = partition.option("secret", "passwd")
    assert len(first) == 32
    storage = partition.directory / "parts/secret"
    assert storage.stat().st_mode & 0o777 == 0o600 and json.loads(storage.read_text()) == {"": first}
    before = partition.snapshot()
    partition.done(PASSWORD)
    assert (partition.option("secret", "passwd"), partition.snapshot()) == (first, before)
    (partition.directory / ".installed.cfg").unlink()
    partition.done(PASSWORD + "bytes = 32\n")
    assert partition.option("secret", "passwd") == first


def test_a_password_that_was_cut_off_before_install_stays(partition: Partition) -> None:
    failing = PASSWORD.replace("parts = secret", "parts = broken secret")
    failing += "[broken]\nrecipe = hyperopenx:wrapper\nwrapper-path = bin/x\ncommand-line = ${secret:passwd} '\n"
    assert partition.run(failing).outcome == "failed"
    first = partition.option("secret", "passwd")
    partition.done(PASSWORD)
    assert partition.option("secret", "passwd") == first


def test_a_given_password_wins_and_may_be_anything(partition: Partition) -> None:
    hostile = "p ${buildout:directory} %(x)s\n'\";#é"
    partition.done(PASSWORD + "passwd = ${given:p}\nstorage-path = etc/secret\n", given={"p": hostile})
    assert partition.option("secret", "passwd") == hostile
    assert json.loads((partition.directory / "etc/secret").read_text()) == {"": hostile}
    partition.done(PASSWORD + "storage-path =\npasswd = x\n")
    assert partition.option("secret", "passwd") == "x"


def test_create_once_false_removes_the_storage_with_the_part(partition: Partition) -> None:
    partition.done(PASSWORD + "create-once = false\n")
    partition.done("[buildout]\nparts =\n")
    assert not (partition.directory / "parts/secret").exists()


def test_two_ports_differ_and_stay(partition: Partition) -> None:
    partition.done(PORTS)
    ports = [partition.option(name, "port") for name in ("one", "two")]
    assert len(set(ports)) == 2 and all(isinstance(port, str) for port in ports)
    before = partition.snapshot()
    with socket.socket() as server:
        server.bind(("127.0.0.1", int(ports[0])))
        partition.done(PORTS)
    assert [partition.option(name, "port") for name in ("one", "two")] == ports
    assert partition.snapshot() == before


@pytest.mark.parametrize("damage", ["", "[]", '{".installed.cfg:one": 1, "x": {"port": "no"}}'])
def test_damaged_choices_are_made_again(partition: Partition, damage: str) -> None:
    partition.done(PORTS)
    (partition.directory / ".hyperopenx/ports.json").write_text(damage)
    partition.done(PORTS)
    assert partition.option("one", "port") != partition.option("two", "port")


def test_a_taken_port_is_not_given_out(partition: Partition) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        taken = server.getsockname()[1]
        with pytest.raises(Conflict) as caught:
            partition.done(PORTS.replace("ip = 127.0.0.1", f"ip = 127.0.0.1\nminimum = {taken}\nmaximum = {taken}"))
    assert caught.value.reference == "no-free-port"


def test_a_shared_address_has_the_block_of_the_partition(partition: Partition) -> None:
    partition.directory.mkdir()
    low = next(port for port in range(20000, 31000, 7) if is_port_free("127.0.0.1", port))
    resource = {"port_range": [low, low + 200], "address_list": []}
    (partition.directory / ".slapos-resource").write_text(json.dumps(resource))
    partition.done(PORTS)
    assert all(low <= int(partition.option(name, "port")) <= low + 200 for name in ("one", "two"))
    partition.done(PORTS.replace("127.0.0.1", "127.0.0.2"))
    assert 1024 <= int(partition.option("one", "port")) < low


def test_an_address_that_is_not_ours_says_so(partition: Partition) -> None:
    profile = PORTS.replace("ip = 127.0.0.1", "ip = 192.0.2.1\nmaximum = 1030")
    with pytest.raises(Conflict, match=r"192\.0\.2\.1"):
        partition.done(profile)


@pytest.mark.parametrize("extra", ["ip = nowhere", "ip = 127.0.0.1\nminimum = 9\nmaximum = 8", "ip = ::1\nminimum = x"])
def test_wrong_ports_are_refused(partition: Partition, extra: str) -> None:
    with pytest.raises(ProfileError):
        partition.done(f"[buildout]\nparts = one\n[one]\nrecipe = hyperopenx:port\n{extra}\n")
