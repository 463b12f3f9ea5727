"""One profile per software type, in the same directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slapos.model.errors import ProfileError
from tests.unit.cookbook.engine import Master, Partition, connection_section, write_document

OUTER = """
[buildout]
parts = switch
[slap-configuration]
recipe = hyperopenx:slapconfiguration
[switch]
recipe = hyperopenx:switch-softwaretype
default = {directory}/default.cfg
mirror = given:mirror-profile
"""
INNER = """
[buildout]
parts = data
[slap-configuration]
recipe = hyperopenx:slapconfiguration
[data]
recipe = hyperopenx:wrapper
wrapper-path = bin/show
command-line = /usr/bin/printf %s ${slap-configuration:configuration.title} ${slap-connection:computer-id}
"""


def run(partition: Partition, tmp_path: Path, extra: str = "", **document: Any) -> Any:
    (tmp_path / "default.cfg").write_text(INNER)
    (tmp_path / "mirror.cfg").write_text(INNER.replace("bin/show", "bin/mirror"))
    path = write_document(tmp_path / "instance.json", **document)
    return partition.run(
        OUTER.format(directory=tmp_path) + extra,
        slap__connection=connection_section(path),
        given={"mirror-profile": str(tmp_path / "mirror.cfg")},
    )


def test_the_profile_of_the_type_runs_and_is_replaced_by_that_of_another(partition: Partition, tmp_path: Path) -> None:
    hostile = "${buildout:directory} '\n"
    report = run(partition, tmp_path, parameters={"title": hostile})
    assert report.outcome == "done", report.sentence
    assert "${buildout:directory} '\"'\"'\n" in (partition.directory / "bin/show").read_text()
    assert (partition.directory / ".installed-switch.cfg").exists()
    before = partition.snapshot()
    assert run(partition, tmp_path, parameters={"title": hostile}).outcome == "done"
    assert partition.snapshot() == before
    assert run(partition, tmp_path, parameters={"title": "other"}).outcome == "done"
    assert "other" in (partition.directory / "bin/show").read_text()
    assert run(partition, tmp_path, software_type="mirror", parameters={"title": "x"}).outcome == "done"
    assert [path.name for path in (partition.directory / "bin").iterdir()] == ["mirror"]


def test_the_master_is_not_asked_again(partition: Partition, tmp_path: Path, master: Master) -> None:
    (tmp_path / "default.cfg").write_text(INNER)
    from slapos.slap.documents import instance_to_data
    from tests.unit.cookbook.engine import instance

    master.answers["hyperopenx.get.v0.instance"] = instance_to_data(instance(parameters={"title": "t"}))
    profile = OUTER.format(directory=tmp_path)
    partition.done(profile, slap__connection=connection_section(url=master.url), given={"mirror-profile": "x"})
    assert len(master.calls) == 1


def test_the_old_default_and_overrides(partition: Partition, tmp_path: Path) -> None:
    assert run(partition, tmp_path, software_type="RootSoftwareInstance", parameters={"title": "x"}).outcome == "done"
    (tmp_path / "special.cfg").write_text(INNER.replace("bin/show", "bin/special"))
    extra = f'override = !json!{{"default": "{tmp_path}/special.cfg"}}\n'
    assert run(partition, tmp_path, extra, parameters={"title": "x"}).outcome == "done"
    assert (partition.directory / "bin/special").exists()


def test_an_unknown_type_names_the_known_ones(partition: Partition, tmp_path: Path) -> None:
    error = run(partition, tmp_path, software_type="cluster").first_error
    assert isinstance(error, ProfileError) and error.reference == "unknown-software-type"
    assert error.hint == "Known types: default, mirror."


@pytest.mark.parametrize("missing", ["title"])
def test_a_failure_inside_is_the_failure(partition: Partition, tmp_path: Path, missing: str) -> None:
    report = run(partition, tmp_path)
    assert report.outcome == "failed"
    assert missing in report.sentence
