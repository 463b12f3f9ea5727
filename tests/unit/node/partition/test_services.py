"""Services declared by the files of a partition, which may be hostile."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from slapos.model.errors import InputError
from slapos.node.partition.services import Place, declared_services, executable_names, service_spec
from slapos.node.partition.switch import signal_number
from slapos.system.users import own_identity


@pytest.fixture
def partition(tmp_path: Path) -> Path:
    for folder in ("etc/service", "etc/run", "etc/prerm", ".hyperopenx/services"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def script(path: Path, text: str = "#!/bin/sh\n", mode: int = 0o700) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def facts(partition: Path, name: str, value: object) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    (partition / ".hyperopenx/services" / f"{name}.json").write_text(text)


def test_digests_follow_what_the_wrapper_says(partition: Path) -> None:
    script(partition / "etc/service/httpd")
    facts(
        partition, "httpd", {"restart": "r1", "reload": "l1", "reload_signal": "USR1", "check_command": ["/bin/true"]}
    )
    (first,) = declared_services(str(partition), os.getuid()).declared
    assert (first.watched, first.reload_signal, first.check_command) == (True, "USR1", ("/bin/true",))
    facts(partition, "httpd", {"restart": "r1", "reload": "l2"})
    (second,) = declared_services(str(partition), os.getuid()).declared
    assert (second.restart == first.restart, second.reload == first.reload) == (True, False)
    facts(partition, "httpd", {"restart": "r2", "reload": "l2"})
    (third,) = declared_services(str(partition), os.getuid()).declared
    assert (third.restart == second.restart, third.reload == second.reload) == (False, True)


def test_without_facts_the_file_itself_counts(partition: Path) -> None:
    path = script(partition / "etc/run/setup", "one")
    (first,) = declared_services(str(partition), os.getuid()).declared
    assert not first.watched
    script(path, "two")
    (second,) = declared_services(str(partition), os.getuid()).declared
    assert first.restart != second.restart


@pytest.mark.parametrize("name", ["a\nb", "a%(b)s", "a b", "-x", "[program:x]\nuser=root", "é", "a:b"])
def test_hostile_names_are_refused_and_said(partition: Path, name: str) -> None:
    script(partition / "etc/service" / name)
    found = declared_services(str(partition), os.getuid())
    assert found.declared == ()
    assert "letters, digits" in found.refused[name]


def test_links_and_what_is_no_program_are_refused(partition: Path) -> None:
    (partition / "etc/service/link").symlink_to("/bin/true")
    (partition / "etc/service/folder").mkdir()
    script(partition / "etc/service/plain", mode=0o600)
    os.mkfifo(partition / "etc/service/pipe")
    found = declared_services(str(partition), os.getuid())
    assert found.declared == ()
    assert found.refused == {
        "link": "it is a symbolic link",
        "folder": "it is not a file",
        "plain": "it is not executable",
        "pipe": "it is not a file",
    }


def test_a_linked_folder_is_not_followed(partition: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    script(outside / "evil")
    (partition / "etc/service").rmdir()
    (partition / "etc/service").symlink_to(outside)
    found = declared_services(str(partition), os.getuid())
    assert found.declared == ()
    assert found.refused


@pytest.mark.parametrize("value", ["{", "[]", '{"check_command": "rm -rf /"}', '{"check_command": ["a\\u0000b"]}'])
def test_damaged_facts_are_said(partition: Path, value: str) -> None:
    script(partition / "etc/service/httpd")
    facts(partition, "httpd", value)
    found = declared_services(str(partition), os.getuid())
    assert found.declared == ()
    assert "httpd" in found.refused


def test_same_name_in_both_folders(partition: Path) -> None:
    script(partition / "etc/service/x")
    script(partition / "etc/run/x")
    found = declared_services(str(partition), os.getuid())
    assert [item.watched for item in found.declared] == [True]
    assert "same name" in found.refused["x"]


def test_prerm_scripts(partition: Path) -> None:
    script(partition / "etc/prerm/b")
    script(partition / "etc/prerm/a")
    script(partition / "etc/prerm/.hidden")
    assert executable_names(str(partition), "etc/prerm", os.getuid()) == ("a", "b")
    assert executable_names(str(partition), "etc/absent", os.getuid()) == ()


def test_spec_carries_the_digests(partition: Path) -> None:
    script(partition / "etc/service/httpd")
    (declared,) = declared_services(str(partition), os.getuid()).declared
    place = Place("slappart0", str(partition), own_identity(), False, "/logs/slappart0")
    spec = service_spec(place, declared)
    assert spec.key == "slappart0:httpd"
    assert spec.digest == declared.restart
    assert spec.log == "/logs/slappart0/httpd.log"
    assert spec.user is None
    assert spec.environment["HOME"] == str(partition)


def test_signal_names() -> None:
    assert (signal_number("HUP"), signal_number("SIGUSR1"), signal_number("usr2")) == (1, 10, 12)
    with pytest.raises(InputError, match="no signal 'RM'"):
        signal_number("RM")
