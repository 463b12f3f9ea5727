"""``slapos lock`` with the machine's own Debian archive."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from slapos.cli import main as entry

PROFILE = "[buildout]\nparts = tool\n\n[tool]\nrecipe = hyperopenx:debian\npackages =\n"


@pytest.mark.timeout(600)
def test_packages_of_debian(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYPEROPENX_STATE", str(tmp_path / "state"))
    profile = tmp_path / "software.cfg"
    profile.write_text(PROFILE)
    assert entry.run(["lock", str(profile), "tool", "--package", "jq"]) == 0
    lines = profile.read_text().removeprefix(PROFILE).splitlines()
    assert all(re.fullmatch(r"  \S+=\S+ [0-9a-f]{64} pool/\S+\.deb", line) for line in lines), lines
    assert {"jq", "libjq1"} <= {line.split("=")[0].strip() for line in lines}
    capsys.readouterr()
    assert entry.run(["lock", str(profile), "--check"]) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert entry.run(["lock", str(profile), "tool", "--package", "no-such-package-at-all"]) == 3
    assert "no-such-package-at-all" in capsys.readouterr().err
