"""The units of systemd, judged by systemd's own tools."""

from __future__ import annotations

import configparser
import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from slapos.cli.main import slapos
from slapos.cli.site.services import Place, install, uninstall
from slapos.cli.site.units import Unit, master_units, node_units
from slapos.master.config import MasterConfig
from slapos.model.errors import Conflict, InputError
from slapos.node.config import NodeConfig, write_config
from slapos.node.context import layout_of
from slapos.node.register import site_config
from slapos.node.supervise import name_unit
from slapos.node.wiring import open_supervisor
from slapos.system.processes import run
from slapos.system.service_manager import is_booted

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None or shutil.which("systemctl") is None,
    reason="the package systemd is not installed",
)
ODD = 'with space, %n, $HOME, "quotes" and \\'


def configured(directory: Path) -> NodeConfig:
    directory.mkdir(parents=True, exist_ok=True)
    config = site_config(str(directory), name="berlin", master_url="https://127.0.0.1:1", run_directory="/tmp/x")
    return dataclasses.replace(config, computer_id="COMP-1")


def units(directory: Path, log_format: str = "json") -> list[Unit]:
    config = configured(directory)
    database = "postgresql+psycopg://hyperopenx@/hyperopenx"
    master = MasterConfig(state_directory=str(directory), database_url=database)
    return [*node_units(config, str(directory / "slapos.cfg"), log_format), *master_units(master, log_format)]


@needs_systemd
@pytest.mark.parametrize("name", ["plain", ODD])
def test_systemd_finds_nothing_wrong(tmp_path: Path, name: str) -> None:
    for unit in units(tmp_path / name):
        (tmp_path / unit.name).write_text(unit.text)
    for unit in units(tmp_path / name):
        done = run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tmp_path / unit.name)])
        assert (done.code, done.text) == (0, ""), unit.text
    broken = tmp_path / "broken.service"
    broken.write_text(units(tmp_path / name)[0].text.replace("Type=notify", "Type=nothing"))
    assert "nothing" in run(["systemd-analyze", "verify", "--man=no", str(broken)]).text, "it does look"


def settings(unit: Unit, section: str = "Service") -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit.text)
    return dict(parser.items(section))


def test_the_services_do_not_depend_on_the_daemon(tmp_path: Path) -> None:
    daemon, supervisor, _ = units(tmp_path)
    assert supervisor.name in settings(daemon, "Unit")["After"].split()
    assert supervisor.name in settings(daemon, "Unit")["Wants"].split(), "not Requires: its end must not end the daemon"
    for strong in ("Requires", "BindsTo", "PartOf", "Requisite"):
        assert strong not in settings(daemon, "Unit")
        assert strong not in settings(supervisor, "Unit")
    assert settings(supervisor)["KillMode"] == "process", "only the supervisor itself is signalled"
    assert settings(supervisor)["OOMPolicy"] == "continue", "a service out of memory must not end the others"
    assert settings(supervisor)["PIDFile"] == f"{layout_of(configured(tmp_path)).run}/supervisor.pid"
    assert "--cfg" in settings(daemon)["ExecStart"]


def test_readiness_watchdog_and_format_of_the_log(tmp_path: Path) -> None:
    for unit in (units(tmp_path)[0], units(tmp_path)[2]):
        found = settings(unit)
        assert (found["Type"], found["NotifyAccess"], found["WatchdogSec"]) == ("notify", "main", "60")
        assert found["Environment"] == "HYPEROPENX_LOG_FORMAT=json"
    assert "postgresql.service" in settings(units(tmp_path)[2], "Unit")["After"]


@needs_systemd
@pytest.mark.root
def test_installed_on_an_image_twice_and_taken_away(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "image"))
    found = units(tmp_path / "node")[:2]
    for _ in range(2):
        paths = install(found, place)
        wants = tmp_path / "image/etc/systemd/system/multi-user.target.wants"
        assert sorted(os.listdir(wants)) == sorted(unit.name for unit in found)
        assert [Path(path).read_text() for path in paths] == [unit.text for unit in found]
    assert sorted(uninstall(found[0].name, [found[1].name], place)) == sorted(paths)
    assert not any(os.path.lexists(path) for path in [*paths, *(str(wants / unit.name) for unit in found)])
    assert uninstall(found[0].name, [found[1].name], place) == []


@pytest.mark.root
@pytest.mark.skipif(is_booted(), reason="this machine is run by systemd")
def test_refused_without_systemd() -> None:
    with pytest.raises(Conflict) as caught:
        install([], Place())
    assert caught.value.reference == "no-systemd"
    assert "--print" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_refused_without_root(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        install([], Place(str(tmp_path)))
    assert caught.value.reference == "needs-root"


def test_print_shows_and_writes_nothing(tmp_path: Path) -> None:
    config = configured(tmp_path / "node")
    write_config(str(tmp_path / "node/slapos.cfg"), config)
    words = ["--cfg", str(tmp_path / "node/slapos.cfg"), "--format", "json", "node", "install-service", "--print"]
    done = CliRunner().invoke(slapos, words, catch_exceptions=False)
    shown = json.loads(done.output)
    assert list(shown) == ["hyperopenx-node-berlin.service", "hyperopenx-supervisor-berlin.service"]
    assert os.listdir(tmp_path / "node") == ["slapos.cfg"]


@needs_systemd
@pytest.mark.root
def test_the_node_remembers_who_starts_its_supervisor(tmp_path: Path) -> None:
    config = configured(tmp_path / "node")
    write_config(str(tmp_path / "node/slapos.cfg"), config)
    image = tmp_path / "image"
    marker = Path(str(image) + layout_of(config).supervisor_unit)
    for command, there in (("install-service", True), ("uninstall-service", False)):
        words = ["--cfg", str(tmp_path / "node/slapos.cfg"), "node", command, "--root", str(image)]
        assert CliRunner().invoke(slapos, words, catch_exceptions=False).exit_code == 0
        assert marker.exists() == there
    assert not Path(layout_of(config).supervisor_unit).exists()


@pytest.mark.skipif(is_booted(), reason="this machine is run by systemd")
def test_where_systemd_does_not_run_nobody_asks_it(tmp_path: Path) -> None:
    config = configured(tmp_path)
    config = dataclasses.replace(config, state_directory=str(tmp_path))
    name_unit(config, "hyperopenx-supervisor-berlin.service")
    assert (tmp_path / "supervisor.unit").read_text() == "hyperopenx-supervisor-berlin.service\n"
    assert open_supervisor(config).unit == ""
