"""Rotation by the real program."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from slapos.model.errors import ProfileError
from tests.unit.cookbook.engine import Partition

PROFILE = """
[buildout]
parts = main entry
[main]
recipe = hyperopenx:logrotate
[entry]
recipe = hyperopenx:logrotate.d
name = site
"""
LOGROTATE = shutil.which("logrotate", path="/usr/local/sbin:/usr/sbin:/usr/bin")
needs_logrotate = pytest.mark.skipif(LOGROTATE is None, reason="the program logrotate is not installed")


def rotate(partition: Partition) -> None:
    command = [str(partition.directory / "bin/logrotate"), "--force"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, env={"PATH": os.defpath})
    assert done.returncode == 0, done.stdout + done.stderr


@needs_logrotate
def test_logs_are_rotated_and_the_writer_is_told(tmp_path: Path) -> None:
    partition = Partition(tmp_path / "with space" / "slappart0")
    log = partition.directory / "var/log/access.log"
    log.parent.mkdir(parents=True)
    log.parent.chmod(0o750)
    log.write_text("line\n")
    profile = PROFILE + "log = ${buildout:directory}/var/log/*.log\nbackup = srv/backup/logrotate\nrotate-num = 2\n"
    profile += 'post = touch ${given:where} && echo "done" > ${buildout:directory}/told\n'
    where = str(partition.directory / "a ; touch b")
    partition.done(profile, given={"where": where})
    rotate(partition)
    assert not log.exists()
    (rotated,) = (partition.directory / "srv/backup/logrotate").iterdir()
    assert rotated.name.startswith("access.log-") and rotated.suffix == ".gz"
    assert Path(where).exists() and (partition.directory / "told").read_text() == "done\n"
    before = partition.snapshot()
    partition.done(profile, given={"where": where})
    assert partition.snapshot() == before


@needs_logrotate
def test_options_of_an_entry(partition: Partition) -> None:
    log = partition.directory / "a.log"
    profile = PROFILE + f"log = {log}\nfrequency = hourly\nmaxsize = 10k\ncompress = false\ncopytruncate = true\n"
    partition.done(profile + "delaycompress = yes\npre = true\n")
    partition.directory.chmod(0o750)
    log.write_text("line\n")
    rotate(partition)
    assert log.read_text() == ""
    assert len(list(partition.directory.glob("a.log-*"))) == 1


@pytest.mark.parametrize(
    ("text", "given", "option"),
    [
        ("", {}, "log"),
        ("log = relative.log", {}, "log"),
        ("log = ${given:x}", {"x": '/a" {\n}\n"/b'}, "log"),
        ("log = /a\nfrequency = ${given:x}", {"x": "daily\npostrotate\nrm x\nendscript"}, "frequency"),
        ("log = /a\nrotate-num = -1", {}, "rotate-num"),
        ("log = /a\nmaxsize = 1\n  mail x", {}, "maxsize"),
        ("log = /a\npost = echo ${given:x}", {"x": "a\nendscript\nb"}, "post"),
        ('log = /a\npost = echo "${given:x}"', {"x": "$(rm)"}, "post"),
        ("log = /a\nname = a/b", {}, "name"),
    ],
)
def test_nothing_of_a_value_becomes_configuration(
    partition: Partition, text: str, given: dict[str, Any], option: str
) -> None:
    with pytest.raises(ProfileError) as caught:
        partition.done(
            PROFILE.replace("name = site\n", "" if "name =" in text else "name = site\n") + text, given=given
        )
    assert caught.value.context["option"] == option
