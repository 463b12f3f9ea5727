"""Small recipes of the field: links, facts, choices, files that people edit, legacy promises."""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from slapos.model.errors import Conflict, HyperopenxError, InputError, NotFound, ProfileError
from tests.unit.build.web import serving
from tests.unit.cookbook.engine import Partition, connection_section, write_document

HOSTILE = "a ${buildout:directory} {{ x }} %(y)s '\" $(touch evil) ; # é 🙂"


def profile(recipe: str, text: str = "") -> str:
    return f"[buildout]\nparts = p\n[p]\nrecipe = slapos.cookbook:{recipe}\n{text}\n"


def run(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [path], capture_output=True, text=True, timeout=60, check=False, env={"PATH": os.environ["PATH"], **environment}
    )


def test_links_are_made_moved_and_removed(partition: Partition) -> None:
    text = profile("symbolic.link", "target-directory = ${buildout:directory}/bin\nlink-binary =\n  /bin/sh\n  /x/@\n")
    partition.done(text.replace("@", "one"))
    directory = partition.directory / "bin"
    assert {path.name: os.readlink(path) for path in directory.iterdir()} == {"sh": "/bin/sh", "one": "/x/one"}
    before = (directory / "sh").lstat().st_ino
    partition.done(text.replace("@", "two"))
    assert sorted(os.listdir(directory)) == ["sh", "two"] and (directory / "sh").lstat().st_ino == before
    (directory / "two").unlink()
    (directory / "two").write_text("somebody's")
    with pytest.raises(Conflict):
        partition.done(text.replace("@", "two"))
    assert (directory / "two").read_text() == "somebody's"


def test_files_are_copied(partition: Partition, tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("text")
    (tmp_path / "a.sh").chmod(0o750)
    text = profile("copyfilelist", f"target-directory = copies\nfile-list = {tmp_path}/a.sh")
    partition.done(text)
    copy = partition.directory / "copies/a.sh"
    assert copy.read_text() == "text" and copy.stat().st_mode & 0o777 == 0o750
    with pytest.raises(NotFound):
        partition.done(text + " /nowhere/x")
    with pytest.raises(ProfileError):
        partition.done(text.replace("copies", "../copies"))


def test_a_url_falls_to_pieces(partition: Partition) -> None:
    names = ("scheme", "username", "password", "host", "port", "path", "params", "query", "fragment")
    partition.done(profile("urlparse", "url = https://u:p%40@[2001:db8::1]:8443/a/b/;c?d=e#f"))
    assert [partition.option("p", name) for name in names] == [
        *("https", "u", "p%40", "2001:db8::1", "8443", "a/b", "c", "d=e", "f")
    ]
    partition.done(profile("urlparse", "url = http://example.org"))
    assert [partition.option("p", name) for name in names] == ["http", "", "", "example.org", "", "", "", "", ""]
    with pytest.raises(ProfileError, match="is no URL"):
        partition.done(profile("urlparse", "url = http://h:port/"))


def test_an_identifier_stays(partition: Partition) -> None:
    text = profile("uuid", "cache-file = ${buildout:directory}/etc/uuid")
    partition.done(text)
    first = partition.option("p", "uuid")
    assert re.fullmatch("[0-9a-f]{32}", first) and (partition.directory / "etc/uuid").read_text() == first
    (partition.directory / ".installed.cfg").unlink()
    partition.done(text)
    assert partition.option("p", "uuid") == first
    (partition.directory / "etc/uuid").write_text("damaged")
    partition.done(text)
    assert partition.option("p", "uuid") != first


def test_who_runs(partition: Partition) -> None:
    partition.done(profile("userinfo"))
    assert partition.option("p", "pw-name") == pwd.getpwuid(os.getuid()).pw_name
    assert partition.option("p", "pw-uid") == str(os.getuid()) and partition.option("p", "gr-gid") == str(os.getgid())


def test_a_first_line_is_read_or_waited_for(partition: Partition) -> None:
    text = profile("readline", "storage-path = ${buildout:directory}/line")
    report = partition.run(text)
    assert report.outcome == "waiting" and "waiting for the file" in report.sentence
    partition.done(text + "when-absent = none\n")
    assert partition.option("p", "readline") == "none"
    (partition.directory / "line").write_text("${buildout:directory} é\nsecond\n")
    partition.done(text)
    assert partition.option("p", "readline") == "${buildout:directory} é\n"


@pytest.mark.parametrize(
    ("recipe", "text", "option", "pattern"),
    [
        ("random.integer", "minimum = 5\nmaximum = 1000000", "value", "[0-9]+"),
        ("random.time", "", "time", r"(1?[0-9]|2[0-3]):[0-5][0-9]"),
        ("generate.mac", "storage-path = ${buildout:directory}/mac", "mac-address", "fe(:[0-9a-f]{2}){5}"),
    ],
)
def test_chance_decides_once(partition: Partition, recipe: str, text: str, option: str, pattern: str) -> None:
    partition.done(profile(recipe, text))
    first = partition.option("p", option)
    assert re.fullmatch(pattern, first)
    assert partition.outcomes(partition.done(profile(recipe, text))) == {"p": "kept"}
    partition.done(profile(recipe, text + "\nother = changed"))
    assert partition.option("p", option) == first
    given = {"value": "7", "time": "3:04", "mac-address": "fe:00:00:00:00:01"}[option]
    partition.done(profile(recipe, f"{text}\n{option} = {given}"))
    assert partition.option("p", option) == given


def test_a_mac_address_outlives_the_state(partition: Partition) -> None:
    text = profile("generate.mac", "storage-path = ${buildout:directory}/mac")
    partition.done(text)
    first = partition.option("p", "mac-address")
    assert (partition.directory / "mac").read_text() == first
    (partition.directory / ".installed.cfg").unlink()
    partition.done(text)
    assert partition.option("p", "mac-address") == first


def test_a_file_that_people_edit(partition: Partition) -> None:
    writing = "[buildout]\nparts = w r\n[w]\nrecipe = slapos.cookbook:zero-knowledge.write\nfilename = knowledge.cfg\n"
    writing += "a = ${given:a}\nb = 1\n"
    reading = "[r]\nrecipe = slapos.cookbook:zero-knowledge.read\nfile-path = ${buildout:directory}/knowledge.cfg\n"
    reading += "<part-dependencies> = w\nc = default\n"
    partition.done(writing + reading, given={"a": HOSTILE})
    partition.done(writing + reading, given={"a": "another"})
    assert (partition.option("r", "a"), partition.option("r", "b")) == (HOSTILE, "1")
    path = partition.directory / "knowledge.cfg"
    path.write_text(path.read_text().replace("b = 1", "b = mine\nc = also"))
    partition.done(writing + "d = new\n" + reading, given={"a": HOSTILE})
    partition.done(writing + "d = new\n" + reading, given={"a": HOSTILE})
    assert [partition.option("r", name) for name in "abcd"] == [HOSTILE, "mine", "also", "new"]
    partition.done("[buildout]\nparts =\n")
    assert path.exists()
    path.write_text("no ini")
    with pytest.raises(InputError, match=r"knowledge\.cfg cannot be read"):
        partition.done(writing + reading, given={"a": "x"})


def test_a_shell_for_people(partition: Partition) -> None:
    text = (
        'wrapper = bin/shell\nshell = /usr/bin/env\nhome = ${given:x}\npath =\n  /a b\n  ${given:x}\nps1 = "it\'s > "\n'
    )
    partition.done(profile("shell", text), given={"x": HOSTILE})
    shown = run(partition.directory / "bin/shell").stdout.splitlines()
    assert {f"HOME={HOSTILE}", f"PATH=/a b:{HOSTILE}", "PS1=it's > ", "SHELL=/usr/bin/env"} <= set(shown)
    with pytest.raises(ProfileError, match="JSON"):
        partition.done(profile("shell", text.replace('"', "")), given={"x": "x"})


def test_options_become_json(partition: Partition) -> None:
    text = "json-output = ${buildout:directory}/etc/x.json\nb = ${given:x}\na = 1\nlist = ${given:list}\n"
    partition.done(profile("jsondump", text), given={"x": HOSTILE, "list": [1, {"y": None}]})
    path = partition.directory / "etc/x.json"
    assert json.loads(path.read_text()) == {"a": "1", "b": HOSTILE, "list": [1, {"y": None}]}
    assert path.stat().st_mode & 0o777 == 0o600


def test_parameters_become_json(partition: Partition, tmp_path: Path) -> None:
    document = write_document(tmp_path / "instance.json", parameters={"title": HOSTILE})
    text = profile("slapconfiguration.jsondump", "json-output = parameters.json")
    partition.done(text, slap__connection=connection_section(document=document))
    assert json.loads((partition.directory / "parameters.json").read_text()) == {"title": HOSTILE}
    assert partition.option("p", "configuration.title") == HOSTILE


def test_a_logger_appends_with_the_time(partition: Partition) -> None:
    partition.done(profile("simplelogger", "wrapper = bin/log\nlog = var/log/${given:x}.log"), given={"x": "it's"})
    done = subprocess.run([partition.directory / "bin/log"], input="one\ntwo\n", text=True, timeout=60, check=True)
    assert done.returncode == 0
    lines = (partition.directory / "var/log/it's.log").read_text().splitlines()
    assert [line.split(": ", 1)[1] for line in lines] == ["one", "two", "-" * 24]
    assert re.match(r"\d{4}-\d\d-\d\d\.\d\d:\d\d\.\d\d: ", lines[0])


def test_promises_of_the_field(partition: Partition) -> None:
    with serving() as web:
        web.files["/page"] = b"it is all good"
        parts = {
            "port": f"check_port_listening\nhostname = 127.0.0.1\nport = {web.server_port}",
            "closed": "check_port_listening\nhostname = 127.0.0.1\nport = 1",
            "url": f"check_url_available\nurl = {web.url}/page\ncurl_path = {CURL}\ndash_path = /bin/sh",
            "gone": f"check_url_available\nurl = {web.url}/gone\ncurl_path = {CURL}",
            "expected": f"check_url_available\nurl = {web.url}/gone\ncurl_path = {CURL}\nhttp_code = 404",
            "page": f"check_page_content\nurl = {web.url}/page\nmatch = all good\ncurl_path = {CURL}",
            "other": f"check_page_content\nurl = {web.url}/page\ncurl_path = {CURL}",
        }
        text = f"[buildout]\nparts = {' '.join(parts)}\n"
        for name, lines in parts.items():
            text += f"[{name}]\npath = ${{buildout:directory}}/etc/promise/{name}\nrecipe = slapos.cookbook:{lines}\n"
        curl = partition.directory / "curl"
        partition.directory.mkdir()
        curl.write_text(FAKE_CURL)
        curl.chmod(0o755)
        partition.done(text.replace(CURL, str(curl)))
        results = {name: run(partition.directory / f"etc/promise/{name}") for name in parts}
    assert {name: done.returncode for name, done in results.items()} == {
        **dict.fromkeys(("port", "url", "expected", "page"), 0),
        **{"closed": 1, "gone": 2, "other": 2},
    }, results
    assert "isn't listening" in results["closed"].stderr
    assert "returned 404, expected 200" in results["gone"].stderr


CURL = "@CURL@"
# The arguments that the promises use; the machine may have no curl.
FAKE_CURL = """#!/usr/bin/env python3
import sys, urllib.error, urllib.request
try:
    with urllib.request.urlopen(sys.argv[-1], timeout=10) as answer:
        status, body = answer.status, answer.read().decode()
except urllib.error.HTTPError as error:
    status, body = error.code, ""
except OSError:
    sys.exit(7)
print(status if "-w" in sys.argv else body, end="")
"""


@pytest.mark.parametrize(
    ("recipe", "text"),
    [
        ("symbolic.link", "target-directory = /x\nlink-binary = /bin/sh"),
        ("symbolic.link", "target-directory = x\nlink-binary = /"),
        ("uuid", "cache-file = ../x"),
        ("uuid", ""),
        ("random.integer", "minimum = 2\nmaximum = 1"),
        ("random.integer", "minimum = 2"),
        ("generate.mac", "storage-path = x\nmac-address = no"),
        ("zero-knowledge.write", "a = b"),
        ("zero-knowledge.read", "file-path = /etc/passwd"),
        ("shell", "wrapper = ../x\nshell = /bin/sh\nhome = /\npath = /bin"),
        ("jsondump", "json-output = /x"),
        ("simplelogger", "wrapper = x\nlog = /x"),
        ("check_port_listening", "path = x\nhostname = h\nport = 0"),
        ("check_url_available", "path = x\nurl = y\ndash_path = /bin/sh -c evil"),
    ],
)
def test_what_cannot_be_is_refused(partition: Partition, recipe: str, text: str) -> None:
    with pytest.raises(HyperopenxError) as caught:
        partition.done(profile(recipe, text))
    assert isinstance(caught.value, ProfileError) and caught.value.context["section"] == "p"


def test_directories_as_the_field_names_them(partition: Partition) -> None:
    """Empty ones are none, and a section may name the directory itself."""
    text = "home = ${buildout:directory}\na = ${:home}/a/\nb =\n"
    partition.done(profile("mkdirectory", text))
    assert os.listdir(partition.directory / "a") == []
    assert partition.option("p", "b") == "" and partition.option("p", "home") == str(partition.directory)
    with pytest.raises(ProfileError):
        partition.done(profile("mkdirectory", text.replace("${buildout:directory}", "${buildout:directory}/..")))


def test_a_password_of_the_field_has_as_many_characters_as_bytes(partition: Partition) -> None:
    text = profile("generate.password", "bytes = 9\n[show]\nrecipe = slapos.cookbook:jsondump\njson-output = x.json\n")
    text = text.replace("parts = p", "parts = p show")
    text += "hash = ${p:passwd-sha256-crypt}\nldap = ${p:passwd-ldap-salted-sha1}\n"
    partition.done(text)
    password = partition.option("p", "passwd")
    assert re.fullmatch("[A-Za-z0-9]{9}", password)
    shown: dict[str, Any] = json.loads((partition.directory / "x.json").read_text())
    assert shown["hash"].startswith("$5$") and shown["ldap"].startswith("{SSHA}")
    stored = json.loads((partition.directory / "parts/p").read_text())
    assert stored == {"": password, "passwd-sha256-crypt": shown["hash"], "passwd-ldap-salted-sha1": shown["ldap"]}
    assert partition.outcomes(partition.done(text)) == {"p": "kept", "show": "kept"}
    with pytest.raises(ProfileError, match="no scheme 'rot13'"):
        partition.done(text.replace("sha256-crypt", "rot13"))


def test_a_password_kept_by_an_old_recipe_is_read(partition: Partition) -> None:
    (partition.directory / "etc").mkdir(parents=True)
    (partition.directory / "etc/secret").write_text("12345\n")
    partition.done(profile("generate.password", "storage-path = ${buildout:directory}/etc/secret"))
    assert partition.option("p", "passwd") == "12345"
