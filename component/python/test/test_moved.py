"""Python from a binary cache, at a longer path than it was built for, the first being hidden."""

from __future__ import annotations

import json
from pathlib import Path

from slapos.system.processes import run
from slapos.testing.components import Component
from slapos.testing.moving import moved

PROGRAM = """
import bz2, ctypes, curses, decimal, json, lzma, pyexpat, readline, sqlite3, ssl, sys, sysconfig, zlib
ssl.create_default_context()
assert all(kind.decompress(kind.compress(b"x")) == b"x" for kind in (bz2, lzma, zlib))
assert sqlite3.connect(":memory:").execute("select 42").fetchone() == (42,)
configured = [sysconfig.get_config_var("prefix"), sysconfig.get_path("include")]
print(json.dumps([sys.prefix, sys.base_exec_prefix, sys.path, *configured]))
"""


def test_libraries(component: Component, tmp_path: Path) -> None:
    elsewhere = moved(component, tmp_path)
    assert len(elsewhere.location) > len(component.location)
    done = elsewhere.run("python3.13", "-I", "-c", PROGRAM)
    assert done.code == 0, done.text
    prefix, exec_prefix, path, configured, include = json.loads(done.text.splitlines()[-1])
    assert prefix == exec_prefix == configured == elsewhere.location
    assert all(entry.startswith(elsewhere.location) for entry in path)
    assert include == f"{elsewhere.location}/include/python3.13"
    script = elsewhere.run("pydoc3.13", "zlib")
    assert script.code == 0 and "compress" in script.text, script.text[-500:]


def test_an_environment(component: Component, tmp_path: Path) -> None:
    """With pip, and an extension compiled against what the moved one says of itself."""
    elsewhere = moved(component, tmp_path)
    made = elsewhere.run("python3.13", "-m", "venv", str(tmp_path / "env"), HOME=str(tmp_path))
    assert made.code == 0, made.text
    done = run(["bwrap", *elsewhere.hiding, str(tmp_path / "env/bin/pip"), "--version"], timeout=60)
    assert done.code == 0, done.text
    flags = elsewhere.run("python3.13-config", "--includes")
    assert flags.code == 0 and elsewhere.location in flags.text, flags.text
    assert elsewhere.hidden not in flags.text
