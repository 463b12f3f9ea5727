"""Recipes of ours under names of the field: old names, defaults and outputs of it hold, data stay data."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slapos.cookbook.password_hashes import ldap_salted_sha1, ldap_sha1, sha256_crypt, sha512_crypt
from slapos.model.errors import ProfileError
from tests.unit.cookbook.engine import GUID, Master, Partition, connection_section

HOSTILE = "two words; $(touch evil) 'x' \"y\" ${buildout:directory} %(a)s\nline # no"
WRAPPER = """
[buildout]
parts = w
[w]
recipe = slapos.cookbook:wrapper
wrapper-path = ${buildout:directory}/etc/service/show
"""


def shown(path: Path) -> list[str]:
    done = subprocess.run([path], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split("\0")[:-1]


def test_pieces_of_a_command_are_text_and_data_are_words(partition: Partition) -> None:
    text = WRAPPER + "program = /usr/bin/printf %s\\\\0\narguments = --a 'b c' ${given:x}\n"
    partition.done(text + "command-line = ${:program} ${:arguments} x=${given:x} ${given:list}\n", given=GIVEN)
    assert shown(partition.directory / "etc/service/show") == ["--a", "b c", HOSTILE, f"x={HOSTILE}", "p q", "r"]
    assert not (partition.directory / "evil").exists()


GIVEN: dict[str, Any] = {"x": HOSTILE, "list": ["p q", "r"]}


def test_lines_of_an_environment_may_come_from_elsewhere(partition: Partition) -> None:
    text = WRAPPER + "command-line = /usr/bin/env -0\nenvironment =\n  ONE=${given:x}\n  ${common:environment}\n"
    partition.done(text + "[common]\nenvironment =\n  TWO = 2\n  THREE=${given:x}\n", given=GIVEN)
    assert {f"ONE={HOSTILE}", "TWO=2", f"THREE={HOSTILE}"} <= set(shown(partition.directory / "etc/service/show"))


def test_the_name_tells_of_the_hashed_files(partition: Partition) -> None:
    conf = partition.directory / "conf"
    text = WRAPPER + f"command-line = /bin/true {{}}\nhash-existing-files = {conf}\n"
    services = partition.directory / "etc/service"

    def service() -> str:
        (name,) = os.listdir(services)
        assert re.fullmatch("show-[0-9a-f]{32}", name)
        return name

    partition.done(text.replace("{}", "a"))
    first = service()
    partition.done(text.replace("{}", "b"))
    assert service() == first, "the files are the same"
    conf.write_text("changed")
    partition.done(text.replace("{}", "b"))
    assert service() != first
    assert os.listdir(partition.directory / ".hyperopenx/services") == [f"{service()}.json"]
    partition.done(text.replace("{}", "b") + "hash-in-name = false\n")
    assert os.listdir(services) == ["show"]


def test_a_processor_of_its_own_is_asked_for(partition: Partition) -> None:
    partition.done(WRAPPER + "command-line = /bin/true\nreserve-cpu = true\nprivate-tmpfs =\n")
    done = subprocess.Popen([partition.directory / "etc/service/show"], env={"HOME": str(partition.directory)})
    assert done.wait(60) == 0
    assert (partition.directory / ".slapos-cpu-exclusive").read_text() == f"{done.pid}\n"


ECHO = """
import os, signal, sys, time
signal.signal(signal.SIGHUP, lambda *_: print("told", flush=True))
signal.signal(signal.SIGTERM, lambda *_: (print("ended", file=sys.stderr), sys.exit(3)))
print(os.getppid(), *sys.argv[1:], flush=True)
while True:
    time.sleep(0.01)
"""


def test_redirected_output_is_rotated_and_signals_are_passed_on(partition: Partition) -> None:
    (partition.directory / "log").mkdir(parents=True)
    program, log = partition.directory / "program.py", partition.directory / "log"
    program.write_text(ECHO)
    text = f"command-line = {sys.executable} {program} a ${{given:x}}\nredirect-signal = HUP\n"
    text += f"redirect-stdout = {log}/out\nredirect-stderr = {log}/err\npidfile = {log}/pid\n"
    partition.done(WRAPPER + text, given=GIVEN)
    service = subprocess.Popen([partition.directory / "etc/service/show", "more"])
    try:
        wait_for(lambda: read(log / "out").endswith("more\n"))
        assert read(log / "out") == f"{service.pid} a {HOSTILE} more\n" and read(log / "pid") == f"{service.pid}\n"
        (log / "out").rename(log / "out.1")
        service.send_signal(signal.SIGUSR1)
        wait_for(lambda: read(log / "out").endswith("\n"))
        assert read(log / "out") == "told\n" and "told" not in read(log / "out.1")
        service.terminate()
        assert service.wait(60) == 3
    finally:
        service.kill()
        service.wait()
    assert read(log / "err") == "ended\n"


def test_output_goes_into_files_as_the_field_asks(partition: Partition) -> None:
    text = "command-line = /bin/sh -c 'echo out; echo err >&2; kill -9 $$'\nredirect-stdout = ${:redirect-stderr}\n"
    partition.done(WRAPPER + text + "redirect-stderr = ${buildout:directory}/both\n")
    done = subprocess.run([partition.directory / "etc/service/show"], timeout=60, check=False)
    assert done.returncode == 128 + 9
    assert read(partition.directory / "both") == "out\nerr\n"


def test_a_file_system_of_its_own(partition: Partition) -> None:
    private = partition.directory / "private"
    text = f"private-tmpfs = 1m {private}\ncommand-line = /bin/sh -c 'touch $0/x; id -u; ls $0; df -k $0' {private}\n"
    partition.done(WRAPPER + text)
    done = subprocess.run(
        [partition.directory / "etc/service/show"], capture_output=True, text=True, timeout=60, check=False
    )
    if "user namespace" in done.stderr:
        pytest.skip("this machine gives no user namespaces")
    lines = done.stdout.splitlines()
    assert lines[:2] == [str(os.getuid()), "x"] and lines[3].split()[1] == "1024", done
    assert os.listdir(private) == []


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


TEMPLATE = "[buildout]\nparts = t\n[t]\nrecipe = slapos.recipe.template{}\n"


def test_a_template_of_the_field(partition: Partition, tmp_path: Path) -> None:
    (tmp_path / "x.in").write_text("#!/bin/sh\necho '${given:x}' $${x} ${t:output}\n")
    partition.done(TEMPLATE.format("") + f"url = {tmp_path}/x.in\noutput = ${{buildout:directory}}/x\n", given=GIVEN)
    path = partition.directory / "x"
    assert path.read_text() == f"#!/bin/sh\necho '{HOSTILE}' ${{x}} {path}\n"
    assert path.stat().st_mode & 0o111
    (tmp_path / "x.in").write_text("#!/nowhere/sh\n")
    partition.done(TEMPLATE.format("") + f"url = {tmp_path}/x.in\noutput = ${{buildout:directory}}/x\n")
    assert not path.stat().st_mode & 0o111


def test_jinja_of_the_field(partition: Partition, tmp_path: Path) -> None:
    (tmp_path / "inc.in").write_text("{% macro m(x) %}<{{ x }}>{% endmacro %}")
    (tmp_path / "x.in").write_text(
        "{% import 'inc' as inc %}{{ raw }}|{{ key }}|{{ own }}|{{ json.a }}|{{ section.x }}|"
        "{{ path.basename('/a/b') }}|"
        "{% for k, v in six.iteritems({'k': 1}) %}{{ k }}{{ v }}{% endfor %}"
        "|{{ inc.m(callable(dict)) }}|{{ dumps([1]) }}\n"
    )
    text = (
        TEMPLATE.format(":jinja2")
        + f"""
template = {tmp_path}/x.in
rendered = ${{buildout:directory}}/x
mode = 0640
import-list =
  rawfile inc {tmp_path}/inc.in
context =
  raw raw a ${{given:x}} b
  key key given:x
  key own :mode
  json json {{"a": 5}}
  section section given
  import path os.path
"""
    )
    partition.done(text, given=GIVEN)
    path = partition.directory / "x"
    expected = f"a {HOSTILE} b|{HOSTILE}|0640|5|{HOSTILE}|b|k1|<True>|!json![1]"
    assert path.read_text() == expected, "the line break at the end is not kept"
    assert path.stat().st_mode & 0o777 == 0o640
    partition.done(text.replace(f"{tmp_path}/x.in", "inline:\n  {{ raw }}"), given={"x": "1"})
    assert path.read_text() == "a 1 b"


@pytest.mark.parametrize("how", ["inline = ", "rendered = ${buildout:directory}/x\ntemplate = inline:\n  "])
def test_references_within_a_jinja_text_are_of_the_profile(partition: Partition, how: str) -> None:
    text = TEMPLATE.format(":jinja2") + "output = ${buildout:directory}/x\nword = {{ a }}\ncontext = raw a 5\n"
    text = text.replace("output = ${buildout:directory}/x\n", "") if "rendered" in how else text
    hostile = "{{ 1/0 }} {% x %} ${b:c} '\""
    template = "${:word} ${given:x} {{ '${given:x}' }} ${given:name}{% if '${given:name}' == 'n' %}!{% endif %} $${b:c}"
    partition.done(text + how + template + "\n", given={"x": hostile, "name": "n"})
    assert (partition.directory / "x").read_text() == f"5 {hostile} {hostile} n! ${{b:c}}"
    with pytest.raises(ProfileError) as caught:
        partition.done(text + how + "{{ dumps('${given:x}') }}\n", given={"x": hostile})
    assert caught.value.reference == "unsafe-value"


def test_an_inline_text_of_the_field_is_an_option_like_any_other(partition: Partition) -> None:
    text = TEMPLATE.format("") + "output = ${buildout:directory}/x\npiece = p ${given:x}\n"
    partition.done(text + "inline = $${a:b} $$ ${:piece} ${t:output}\n", given=GIVEN)
    assert (partition.directory / "x").read_text() == f"${{a:b}} $$ p {HOSTILE} {partition.directory}/x"


def test_a_wrong_md5_of_a_template_is_told(partition: Partition, tmp_path: Path) -> None:
    (tmp_path / "x.in").write_text("x")
    text = TEMPLATE.format(":jinja2") + f"url = {tmp_path}/x.in\noutput = x\nmd5sum = "
    with pytest.raises(ProfileError) as caught:
        partition.done(text + "0" * 32)
    assert caught.value.reference == "wrong-checksum"
    partition.done(text + "9dd4e461268c8034f5c8564e155c67a6")
    assert (partition.directory / "x").read_text() == "x"


def test_a_template_of_collective(partition: Partition, tmp_path: Path) -> None:
    (tmp_path / "x.in").write_text("${given:x} ${name} ${t:name}")
    (tmp_path / "x.in").chmod(0o754)
    text = f"[buildout]\nparts = t\n[t]\nrecipe = collective.recipe.template\ninput = {tmp_path}/x.in\n"
    text += "output = ${buildout:directory}/x\nname = n\n"
    partition.done(text, given=GIVEN)
    path = partition.directory / "x"
    assert path.read_text() == f"{HOSTILE} n n" and path.stat().st_mode & 0o777 == 0o754
    partition.done(text.replace(f"input = {tmp_path}/x.in", "input = inline:\n  a ${:name}\n  b"), given=GIVEN)
    assert path.read_text() == "a n\nb"
    path.write_text("edited")
    once = Partition(tmp_path / "once")
    for _ in range(2):
        once.done(text + "overwrite = false\n", given=GIVEN)
        path = once.directory / "x"
        path.write_text("edited")
    once.done("[buildout]\nparts =\n")
    assert path.read_text() == "edited"


PUBLISH = "hyperopenx.put.v0.connection"


def test_a_failing_publication_is_told_in_a_file_and_tried_again(partition: Partition, master: Master) -> None:
    text = "[buildout]\nparts = p\n[p]\nrecipe = slapos.cookbook:publish.serialised_failsafe\n"
    text += "-error-status-file = ${buildout:directory}/var/error\nurl = ${given:x}\n"
    connection = connection_section(url=master.url)
    master.answers[PUBLISH] = (403, {"title": "no", "detail": "You may not."})
    partition.done(text, slap__connection=connection, given=GIVEN)
    assert "no" in (partition.directory / "var/error").read_text()
    master.answers[PUBLISH] = {"generation": 1}
    partition.done(text, slap__connection=connection, given=GIVEN)
    assert not (partition.directory / "var/error").exists()
    sent = len(master.messages(PUBLISH))
    partition.done(text, slap__connection=connection, given=GIVEN)
    assert len(master.messages(PUBLISH)) == sent
    assert json.loads(master.messages(PUBLISH)[-1]["connection"]["_"]) == {"url": HOSTILE}


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("url = ${given:x}", HOSTILE),
        ("scheme = https\nhost = ::1\nport = 80\npath = a/b\nquery = c=d\nfragment = e", "https://[::1]:80/a/b?c=d#e"),
        ("scheme = http\nhost = h\nusername = u@\npassword = p:/", "http://u%40:p%3A%2F@h"),
    ],
)
def test_a_url_is_published(partition: Partition, master: Master, text: str, url: str) -> None:
    master.answers[PUBLISH] = {"generation": 1}
    profile = f"[buildout]\nparts = p\n[p]\nrecipe = slapos.cookbook:publishurl\n{text}\n"
    partition.done(profile, slap__connection=connection_section(url=master.url), given=GIVEN)
    assert master.messages(PUBLISH) == [{"instance_guid": GUID, "connection": {"url": url}}]


def test_a_request_for_each_country(partition: Partition, master: Master) -> None:
    from tests.unit.cookbook.test_request import METHOD, answer

    def serve(message: dict[str, Any]) -> dict[str, Any]:
        region = message["sla"]["region"]
        return answer(connection={"url": f"https://{region}"} if region == "fr" else {}, title=message["title"])

    master.answers[METHOD] = serve
    text = "[buildout]\nparts = edge\n[edge]\nrecipe = slapos.cookbook:request.edge\ncountry-list = fr, de\n"
    text += "software-url = /r\nconfig-a = ${given:x}\nreturn = url\n"
    report = partition.run(text, slap__connection=connection_section(url=master.url), given=GIVEN)
    assert report.outcome == "waiting" and "de-edge: url" in report.sentence and "fr-edge" not in report.sentence
    assert partition.option("edge", "connection-url-fr") == "https://fr"
    assert partition.option("edge", "connection-url-de") == ""
    messages = master.messages(METHOD)
    assert [(message["title"], message["parameters"]) for message in messages] == [
        ("fr-edge", {"a": HOSTILE}),
        ("de-edge", {"a": HOSTILE}),
    ]


def test_hashes_are_those_that_servers_know() -> None:
    """As the C library of the machine writes them, and LDAP servers."""
    assert sha256_crypt("Hello world!", "saltstring") == "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"
    assert sha512_crypt("Hello world!", "saltstring") == (
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
    )
    assert ldap_sha1("password") == "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="
    assert ldap_salted_sha1("password", b"salt") == "{SSHA}yI6cZwQadOA1e+/f+T+H3eCQQhRzYWx0"
    assert sha512_crypt("x") != sha512_crypt("x")
