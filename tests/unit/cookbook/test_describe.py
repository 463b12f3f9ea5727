"""A plan runs no recipe: every one of ours can be described without a network, a file or a master."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from slapos.build.profile.buildout import Buildout
from tests.unit.cookbook.engine import connection_section

PROFILE = """
[buildout]
parts = slap-configuration wrapper publish early request promise plugin directory password port certificate logrotate
  entry cron job switch
[slap-connection]
{connection}
[slap-configuration]
recipe = hyperopenx:slapconfiguration.jsonschema
jsonschema = /nowhere/software.cfg.json
[wrapper]
recipe = hyperopenx:wrapper
wrapper-path = etc/service/x
command-line = /bin/true ${{slap-configuration:configuration.title}} ${{port:port}} ${{password:passwd}}
[publish]
recipe = hyperopenx:publish.serialised
-extends = early
url = ${{request:connection-url}}
[early]
recipe = hyperopenx:publish-early
-init = secret password:passwd
[request]
recipe = hyperopenx:request
name = child
software-url = /r
return = url
[promise]
recipe = hyperopenx:promise
check = url_available
config-url = ${{publish:url}}
[plugin]
recipe = hyperopenx:promise.plugin
output = etc/plugin/x.py
module = os
[directory]
recipe = hyperopenx:mkdirectory
log = var/log
[password]
recipe = hyperopenx:password
[port]
recipe = hyperopenx:port
ip = 127.0.0.1
[certificate]
recipe = hyperopenx:certificate
[logrotate]
recipe = hyperopenx:logrotate
[entry]
recipe = hyperopenx:logrotate.d
log = ${{directory:log}}/a.log
[cron]
recipe = hyperopenx:cron
[job]
recipe = hyperopenx:cron.d
command = ${{logrotate:wrapper}}
time = daily
[switch]
recipe = hyperopenx:switch-softwaretype
default = ${{directory:log}}/default.cfg
"""


def test_a_whole_instance_is_described_without_effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "partition"
    directory.mkdir()
    connection = "\n".join(f"{key} = {value}" for key, value in connection_section(url="https://192.0.2.1").items())
    path = tmp_path / "profile.cfg"
    path.write_text(PROFILE.format(connection=connection))
    monkeypatch.setattr(socket, "socket", None)
    read: list[str] = []

    def reader(name: str) -> bytes:
        read.append(name)
        return Path(name).read_bytes()

    buildout = Buildout(profile=str(path), directory=str(directory), read=reader, describe_only=True)
    for part in str(buildout["buildout"]["parts"]).split():
        assert buildout[part].recipe is None
    outputs = {part: dict(buildout[part].description.outputs) for part in ("wrapper", "certificate", "directory")}
    assert outputs["wrapper"] == {"path": f"{directory}/etc/service/x"}
    assert outputs["directory"] == {"log": f"{directory}/var/log"}
    assert outputs["certificate"]["key-path"] == f"{directory}/etc/ssl/certificate.key"
    assert list(directory.iterdir()) == []
    assert read == [str(path)]
