"""logrotate: renames a log that has grown, once."""

from __future__ import annotations

from pathlib import Path

from slapos.testing.components import Component


def test_a_log(component: Component, tmp_path: Path) -> None:
    log, configuration = tmp_path / "access.log", tmp_path / "logrotate.conf"
    log.write_text("a line\n" * 100)
    configuration.write_text(f"{log} {{\n  size 100\n  rotate 2\n  nocreate\n  missingok\n}}\n")
    configuration.chmod(0o644)
    command = [component.path("sbin/logrotate"), "--state", str(tmp_path / "state"), str(configuration)]
    for _ in range(2):
        done = component.call(*command)
        assert done.code == 0, done.text
    assert not log.exists()
    assert (tmp_path / "access.log.1").read_text() == "a line\n" * 100
    assert not (tmp_path / "access.log.2").exists()
