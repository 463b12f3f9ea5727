"""Profiles read by who only looks: in a child of its own, which leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from slapos.build.graph import Graph
from slapos.build.reading import Wanted, read_graph_apart
from slapos.model.errors import HyperopenxError, InternalError, ProfileError, Unavailable
from tests.unit.build.profiles import write_profile

PLAIN = "[buildout]\nparts = a\n[a]\nrecipe = hyperopenx:mkdirectory\nd = ${buildout:directory}/x\n"


def read(*, time_limit: float = 60.0, **wanted: Any) -> Graph:
    return read_graph_apart(Wanted(**wanted), time_limit)


def test_nothing_is_made_and_nobody_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    write_profile(home, "[buildout]\nparts = from-the-user\n", ".buildout/default.cfg")
    monkeypatch.setenv("HOME", str(home))
    before = os.getcwd(), dict(os.environ)
    made = read(profile=write_profile(tmp_path, PLAIN), directory=str(tmp_path / "never"))
    assert [node.name for node in made.parts] == ["a"]
    assert made.parts[0].outputs["d"] == f"{tmp_path}/never/x"
    assert not (tmp_path / "never").exists()
    assert (os.getcwd(), dict(os.environ)) == before


def test_no_cache_is_written(tmp_path: Path) -> None:
    text = PLAIN.replace("parts = a", "parts = a\nextends-cache = ${buildout:directory}/cache")
    read(profile=write_profile(tmp_path, text), directory=str(tmp_path))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("extends", ["nowhere.cfg", "directory", "forbidden.cfg", "binary.cfg"])
def test_an_unreadable_profile_is_named_with_the_line_that_wants_it(tmp_path: Path, extends: str) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "binary.cfg").write_bytes(b"[a]\nx = \xff\n")
    (tmp_path / "forbidden.cfg").symlink_to("forbidden.cfg")
    profile = write_profile(tmp_path, f"[buildout]\nextends = {extends}\n")
    with pytest.raises(HyperopenxError) as caught:
        read(profile=profile, directory=str(tmp_path))
    line = {"binary.cfg": f"{tmp_path}/binary.cfg:2: is not UTF-8"}.get(extends, f"{profile}:2 [buildout] extends: ")
    assert caught.value.message.startswith(line)
    assert extends in caught.value.message


def test_what_is_no_profile_says_its_line(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"profile\.cfg:2: 'what is this'"):
        read(profile=write_profile(tmp_path, "[buildout]\nwhat is this\n"), directory=str(tmp_path))


def test_a_server_that_cannot_be_reached_may_be_there_later(tmp_path: Path) -> None:
    profile = write_profile(tmp_path, "[buildout]\nextends = http://127.0.0.1:9/x.cfg\n")
    with pytest.raises(Unavailable, match=r"profile\.cfg:2 \[buildout\] extends: "):
        read(profile=profile, directory=str(tmp_path))


def test_reading_has_a_time_limit(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.cfg"
    os.mkfifo(fifo)
    begin = time.monotonic()
    with pytest.raises(Unavailable, match="was not read within 1 s"):
        read(profile=str(fifo), directory=str(tmp_path), time_limit=1.0)
    assert time.monotonic() - begin < 10


def test_a_child_that_is_killed_is_told(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.cfg"
    os.mkfifo(fifo)

    def kill() -> None:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as stream:
            for child in stream.read().split():
                os.kill(int(child), signal.SIGKILL)

    timer = threading.Timer(1.0, kill)
    timer.start()
    with pytest.raises(InternalError, match="ended without an answer"):
        read(profile=str(fifo), directory=str(tmp_path))
    timer.join()


def test_who_has_not_imported_buildout_reads_the_same_without_what_installs_eggs(tmp_path: Path) -> None:
    """Conditions, macros, a recipe of others: what the language needs of buildout is there."""
    text = """\
[buildout]
parts = a b
[a:sys.version_info >= (3,)]
<= c
[b]
recipe = somebody.else
x = ${a:d}
[c]
recipe = hyperopenx:mkdirectory
d = ${buildout:directory}/x
"""
    wanted = {"profile": write_profile(tmp_path, text), "directory": str(tmp_path)}
    program = (
        "import json, sys\nfrom slapos.build.apart import Apart\nfrom slapos.build.reading import Wanted, _read\n"
        "wanted = Wanted(**json.loads(sys.argv[1]))\n"
        "with Apart(answer=lambda: {**_read(wanted), 'imported': sorted(sys.modules)}, profile='') as asked:\n"
        "    print(json.dumps(asked.wait()))"
    )
    command = [sys.executable, "-c", program, json.dumps(wanted)]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=tmp_path).stdout)
    assert Graph.from_data(answer["graph"]) == read(**wanted)
    assert "zc.buildout.buildout" in answer["imported"]
    assert not {"setuptools", "pip", "pkg_resources", "zc.buildout.easy_install"} & set(answer["imported"])
