"""The units under a real systemd: the first process of namespaces of its own, with a control group of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slapos.cli.site.units import node_units
from slapos.node import operations
from slapos.node.supervise import name_unit
from slapos.node.wiring import open_supervisor
from slapos.system.processes import Completed, Started, check_run, run, start
from slapos.system.proctable import children_of
from slapos.testing.waiting import wait_for
from tests.functional.node.harness import RealNode, Site, page, pages_answer

SYSTEMD = "/usr/lib/systemd/systemd"
NEEDED = (SYSTEMD, "systemctl", "unshare", "nsenter")
#: What our units name; those of the machine are not looked at.
TARGETS = ("sysinit", "basic", "shutdown", "network-online", "local-fs", "multi-user")
INIT = """#!/bin/sh -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
export container=hyperopenx SYSTEMD_UNIT_PATH={units}
exec {systemd} --system --unit=multi-user.target --log-target=console --show-status=no
"""
ENTER = "echo $$ > {group}/cgroup.procs && exec unshare -m -p -f -C -u -i --mount-proc --kill-child {init}"

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(any(shutil.which(name) is None for name in NEEDED), reason=f"needs {', '.join(NEEDED)}"),
]


@contextlib.contextmanager
def control_group(directory: Path) -> Iterator[Path]:
    """One that systemd takes for the whole machine."""
    directory.mkdir()
    if run(["unshare", "-m", "-p", "-f", "-C", "-u", "-i", "true"]).code != 0:
        pytest.skip("root may make no namespaces here")
    if run(["mount", "-t", "cgroup2", "cgroup2", str(directory)]).code != 0:
        pytest.skip("the kernel mounts no cgroup2 here")
    group = directory / f"hyperopenx-{os.getpid()}"
    group.mkdir()
    try:
        yield group
    finally:
        wait_for(lambda: "populated 0" in (group / "cgroup.events").read_text(), 20, "its processes are gone")
        for inner, _, _ in os.walk(group, topdown=False):
            os.rmdir(inner)
        check_run(["umount", str(directory)])


class Systemd:
    """One that runs what lies in ``units``."""

    def __init__(self, *, unshare: Started) -> None:
        self.pid = wait_for(lambda: children_of(unshare.pid), 20, "systemd")[0].pid

    def enter(self, *words: str) -> Completed:
        """Run something beside it."""
        return run(["nsenter", "-t", str(self.pid), "-a", *words], timeout=60)

    def tell(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.enter("systemctl", "show", "-p", name, "--value", unit).text.strip()


@pytest.fixture
def systemd(site: Site, node: RealNode, tmp_path: Path) -> Iterator[Systemd]:
    """It runs the node, whose instance serves."""
    site.order()
    site.wait(sentence="serving")
    node.stop()
    open_supervisor(node.config).shutdown()
    units = node_units(node.config, node.cfg)
    for unit in units:
        (tmp_path / unit.name).write_text(unit.text)
    for target in TARGETS:
        wants = f"Wants={units[0].name}\n" if target == "multi-user" else ""
        (tmp_path / f"{target}.target").write_text(f"[Unit]\nDefaultDependencies=no\n{wants}")
    init = tmp_path / "init"
    init.write_text(INIT.format(units=tmp_path, systemd=SYSTEMD))
    init.chmod(0o755)
    name_unit(node.config, units[1].name)
    with control_group(tmp_path / "cgroup") as group:
        unshare = start(["sh", "-c", ENTER.format(group=group, init=init)], output=str(tmp_path / "log"))
        try:
            made = Systemd(unshare=unshare)
            wait_for(
                lambda: made.tell(units[0].name, "ActiveState"), 60, "ready", until=lambda state: state == "active"
            )
            yield made
        finally:
            unshare.popen.kill()
            unshare.popen.wait()
    name_unit(node.config, "")


def test_services_outlive_daemon_and_supervisor(site: Site, node: RealNode, systemd: Systemd) -> None:
    daemon, supervisor = (unit.name for unit in node_units(node.config, node.cfg))
    instance = site.wait()
    before: dict[str, Any] = pages_answer(instance, text="hello")

    def main(unit: str) -> str:
        return systemd.tell(unit, "MainPID")

    def another(unit: str, old: str) -> None:
        wait_for(lambda: main(unit), 60, f"another {unit}", until=lambda pid: pid not in ("0", old))

    old = main(daemon)
    assert systemd.enter("systemctl", "restart", daemon).code == 0
    assert main(daemon) != old
    assert page(instance) == before, "stopped and started, as an upgrade does"
    old = main(supervisor)
    systemd.enter("kill", f"-{signal.SIGKILL.value}", old)
    another(supervisor, old)
    wait_for(lambda: operations.service_states(node.config), 20, "it answers")
    assert page(instance) == before, "adopted by the next supervisor"
    old = main(daemon)
    systemd.enter("kill", f"-{signal.SIGSTOP.value}", old)
    wait_for(lambda: main(daemon), 150, "the watchdog has it started again", until=lambda pid: pid not in ("0", old))
    wait_for(lambda: systemd.tell(daemon, "ActiveState"), 60, "ready", until=lambda state: state == "active")
    assert page(instance) == before
    assert re.match(r"\d+ partitions, ", systemd.tell(daemon, "StatusText"))
    assert systemd.enter("systemctl", "stop", daemon, supervisor).code == 0
    with pytest.raises(OSError):
        page(instance)
