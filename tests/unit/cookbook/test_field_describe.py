"""A plan of a profile of the field runs nothing: no script, no git, no download, no command."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from slapos.build.describing import read_graph
from tests.unit.cookbook.engine import connection_section

PROFILE = """
[buildout]
parts = sources archive file tool script command page motd links copies url failsafe edge uuid user line number time mac
  write read shell dump logger port available content
shared-part-list = {directory}/shared
[slap-connection]
{connection}
[sources]
recipe = slapos.recipe.build:gitclone
repository = https://192.0.2.1/x.git
[archive]
recipe = slapos.recipe.build:download-unpacked
url = https://192.0.2.1/x.tar
md5sum = 00000000000000000000000000000000
shared = true
[file]
recipe = slapos.recipe.build:download
url = https://192.0.2.1/x
[tool]
recipe = slapos.recipe.cmmi
url = https://192.0.2.1/tool-${{sources:revision}}.tar
md5sum = 00000000000000000000000000000000
configure-options = --with=${{archive:location}}
[script]
recipe = slapos.recipe.build
init = raise Exception("it runs")
install = raise Exception("it runs")
[command]
recipe = plone.recipe.command
command = touch {directory}/evil ${{tool:location}} ${{script:given}}
[page]
recipe = slapos.recipe.template:jinja2
inline = x
output = page
[motd]
recipe = collective.recipe.template
inline = x
output = motd
[links]
recipe = slapos.cookbook:symbolic.link
target-directory = bin
link-binary = ${{tool:location}}/bin/tool
[copies]
recipe = slapos.cookbook:copyfilelist
target-directory = bin
file-list = ${{file:target}}
[url]
recipe = slapos.cookbook:publishurl
url = ${{edge:connection-url-fr}}
[failsafe]
recipe = slapos.cookbook:publish_failsafe
x = ${{uuid:uuid}}
[edge]
recipe = slapos.cookbook:request.edge
country-list = fr
software-url = /r
return = url
[uuid]
recipe = slapos.cookbook:uuid
cache-file = uuid
[user]
recipe = slapos.cookbook:userinfo
[line]
recipe = slapos.cookbook:readline
storage-path = /nowhere
[number]
recipe = slapos.cookbook:random.integer
minimum = 1
maximum = 2
[time]
recipe = slapos.cookbook:random.time
[mac]
recipe = slapos.cookbook:generate.mac
storage-path = mac
[write]
recipe = slapos.cookbook:zero-knowledge.write
filename = knowledge
x = ${{number:value}} ${{time:time}} ${{mac:mac-address}} ${{line:readline}} ${{user:pw-name}}
[read]
recipe = slapos.cookbook:zero-knowledge.read
filename = knowledge
[shell]
recipe = slapos.cookbook:shell
wrapper = bin/shell
shell = /bin/sh
home = /
path = /bin
[dump]
recipe = slapos.cookbook:jsondump
json-output = x.json
x = ${{read:x}}
[logger]
recipe = slapos.cookbook:simplelogger
wrapper = bin/log
log = log
[port]
recipe = slapos.cookbook:check_port_listening
path = etc/promise/port
hostname = h
port = 1
[available]
recipe = slapos.cookbook:check_url_available
path = etc/promise/url
url = http://h
[content]
recipe = slapos.cookbook:check_page_content
path = etc/promise/page
url = http://h
"""


def test_a_profile_of_the_field_is_described_without_effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: Any, **options: Any) -> None:
        raise AssertionError(f"a plan starts {arguments}")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(subprocess, "Popen", refused)
    directory = tmp_path / "partition"
    directory.mkdir()
    connection = "\n".join(f"{key} = {value}" for key, value in connection_section(url="https://192.0.2.1").items())
    path = tmp_path / "profile.cfg"
    path.write_text(PROFILE.format(connection=connection, directory=directory))
    graph = read_graph(profile=str(path), directory=str(directory), read=lambda name: Path(name).read_bytes())
    assert {part.name: part.problem for part in graph.parts if part.problem} == {}
    assert not [part.name for part in graph.parts if part.opaque]
    nodes = {part.name: part for part in graph.parts}
    assert nodes["archive"].sources[0].url == "https://192.0.2.1/x.tar"
    assert nodes["sources"].outputs["location"] == f"{directory}/parts/sources"
    assert {"sources", "archive"} <= set(nodes["tool"].uses)
    assert list(directory.iterdir()) == []
