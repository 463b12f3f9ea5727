"""What a command in a sandbox is given, and what its paths are called."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from slapos.build.command import CommandLog
from slapos.build.sandbox import ENVIRONMENT, Sandbox, available
from slapos.build.toolchain_view import View
from slapos.build.watch import BuildLimits
from slapos.model.errors import BuildFailed, MachineError
from slapos.system.processes import start
from slapos.system.proctable import children_of, cpu_ticks

WHOLE = View(
    tuple((f"/{name}", f"/{name}") for name in ("usr", "bin", "lib", "lib64") if not os.path.islink(f"/{name}")),
    tuple((os.readlink(f"/{name}"), f"/{name}") for name in ("bin", "lib", "lib64") if os.path.islink(f"/{name}")),
)


def sandbox(directory: Path, **more: object) -> Sandbox:
    (directory / "work").mkdir()
    return Sandbox(build=str(directory / "work"), view=WHOLE, **more)  # type: ignore[arg-type]


def test_paths_inside_and_outside(tmp_path: Path) -> None:
    box = sandbox(tmp_path, readable=("/store/a",), writable={"/store/b": f"{tmp_path}/work/tree"})
    assert box.seen(f"{tmp_path}/work/source") == "/build/source"
    assert box.seen(f"{tmp_path}/workshop") == f"{tmp_path}/workshop"
    assert box.outside("/build/source/x") == f"{tmp_path}/work/source/x"
    assert box.outside("/tmp/x") == f"{tmp_path}/work/.tmp/x"
    assert box.outside("/store/b/lib") == f"{tmp_path}/work/tree/lib"
    assert box.outside("/store/a/lib") == "/store/a/lib"
    assert box.outside("/usr/bin/make") == "/usr/bin/make"
    assert box.outside("/store/c") == ""
    assert box.outside("/home/somebody") == ""


@pytest.mark.skipif(bool(available()), reason=f"no sandbox here: {available()}")
def test_commands_and_their_log(tmp_path: Path) -> None:
    log = CommandLog(str(tmp_path / "log"), environment=ENVIRONMENT, sandbox=sandbox(tmp_path))
    source = tmp_path / "work" / "source"
    source.mkdir()
    log.shell("pwd; echo made > here", str(source))
    assert (tmp_path / "log").read_text() == "# cd /build/source\n$ /bin/sh -ec pwd; echo made > here\n/build/source\n"
    assert (source / "here").read_text() == "made\n"
    with pytest.raises(BuildFailed) as caught:
        log.shell("echo why; exit 7", str(source))
    assert caught.value.reference == "build-command-failed"
    assert caught.value.context["code"] == 7
    assert caught.value.context["tail"][-1] == "why"


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    log = CommandLog(str(tmp_path / "log"), environment=ENVIRONMENT)
    with pytest.raises(MachineError) as caught:
        log.shell("head -c 9 /dev/zero > /dev/full", str(tmp_path))
    assert caught.value.reference == "disk-full"


def test_without_a_sandbox_limits_hold_too(tmp_path: Path) -> None:
    log = CommandLog(str(tmp_path / "log"), environment=ENVIRONMENT)
    log.limits = BuildLimits(seconds=1)
    begin = time.monotonic()
    with pytest.raises(BuildFailed) as caught:
        log.shell("sleep 60 & sleep 60", str(tmp_path))
    assert caught.value.reference == "build-too-slow"
    assert time.monotonic() - begin < 30


def test_without_rights_memory_is_bounded_too(tmp_path: Path) -> None:
    """Nobody but who watches ends it; it would take half a gigabyte."""
    log = CommandLog(str(tmp_path / "log"), environment=ENVIRONMENT)
    log.limits = BuildLimits(memory_bytes=200_000_000)
    eat = "perl -e 'for (1..500) { push @kept, \"x\" x 1000000; select undef, undef, undef, 0.005 } sleep 60'"
    with pytest.raises(BuildFailed) as caught:
        log.shell(f"{eat} & {eat} & wait", str(tmp_path))
    assert caught.value.reference == "too-much-memory"
    assert 200_000_000 < caught.value.context["used"] < 900_000_000
    assert 0 < BuildLimits().beginning().memory_bytes < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_waiting_ends_when_the_program_does() -> None:
    program = start(["sh", "-c", "sleep 0.3 & wait"])
    assert not program.ends_within(0.05)
    assert [process.name for process in children_of(program.pid)] in (["sleep"], [])
    assert program.ends_within(30)
    assert program.wait() == 0
    assert children_of(program.pid) == ()
    assert cpu_ticks(program.pid) == 0
    assert cpu_ticks(os.getpid()) > 0
