"""A part built at one path runs at another, the first being gone; where it cannot, that is said before a download."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from slapos.build.cache.client import CacheClient
from slapos.build.cache.elf import run_paths
from slapos.build.cache.relocate import in_place
from slapos.build.store.inputs import Inputs
from slapos.build.store.store import Store
from slapos.model.errors import BuildFailed
from slapos.system.processes import check_run
from tests.unit.build.cache.stage import Stage, build, inputs

LIBRARY = inputs("library")
PROGRAM = inputs("program", dependencies={"library": LIBRARY.digest})
needs_patchelf = pytest.mark.skipif(shutil.which("patchelf") is None, reason="patchelf is not installed")


def compiled(directory: Path, name: str, code: str, *options: str) -> bytes:
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.c").write_text(code)
    check_run(["gcc", "-o", str(directory / name), str(directory / f"{name}.c"), *options])
    return (directory / name).read_bytes()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A library, and a program that finds it by its run path."""
    made = Stage(tmp_path)
    scratch = tmp_path / "scratch"
    library = compiled(
        scratch, "libanswer.so", "int answer(void) { return 42; }", "-shared", "-fPIC", "-Wl,-soname,libanswer.so"
    )
    lies = build(made.builder, LIBRARY, {"lib/libanswer.so": library})
    code = '#include <stdio.h>\nint answer(void);\nint main(void) { printf("%d\\n", answer()); return 0; }\n'
    links = (f"-L{lies}/lib", "-lanswer", f"-Wl,-rpath,$ORIGIN:{lies}/lib")
    program = compiled(scratch, "program", code, *links)
    files = {
        "bin/program": program,
        "bin/script": "#!@LOCATION@/bin/sh\necho @LOCATION@\n",
        "lib/answer.pc": f"prefix=@LOCATION@\nlibs=-L{lies}\n",
    }
    build(made.builder, PROGRAM, files, {"bin/sh": "@LOCATION@/bin/program", "lib/data": f"{lies}/lib"})
    return made


def moved(stage: Stage, where: str) -> Store:
    """All parts published; the first store is gone, another is at ``where``."""
    for part in list(stage.builder.parts()):
        stage.publish(part.record.inputs)
    check_run(["chmod", "-R", "u+w", stage.builder.roots[0]])
    shutil.rmtree(stage.builder.roots[0])
    return Store((str(stage.top / where),))


def one(stage: Stage, files: Mapping[str, str | bytes], options: Mapping[str, str] | None = None) -> Inputs:
    made_from = inputs("one", options=options or {})
    build(stage.builder, made_from, files)
    return made_from


@needs_patchelf
@pytest.mark.parametrize("where", ["a/much/longer/path/than/the/first/one/was", "s", "buildes"])
def test_a_program_runs_elsewhere(stage: Stage, where: str) -> None:
    store = moved(stage, where)
    client = stage.client()
    assert client.pull_needs("program", PROGRAM.digest, store), client.refusals
    location = Path(store.location("program", PROGRAM.digest))
    library = store.location("library", LIBRARY.digest)
    assert check_run([str(location / "bin/program")]).text == "42\n"
    assert run_paths((location / "bin/program").read_bytes()).run_path == f"$ORIGIN:{library}/lib".encode()
    assert (location / "lib/answer.pc").read_text() == f"prefix={location}\nlibs=-L{library}\n"
    assert (location / "bin/script").read_text() == f"#!{location}/bin/sh\necho {location}\n"
    assert os.readlink(location / "bin/sh") == f"{location}/bin/program"
    assert os.readlink(location / "lib/data") == f"{library}/lib"
    record = store.record("program", PROGRAM.digest)
    assert record is not None and record.references == (f"library/{LIBRARY.digest}",)
    first = os.fsencode(stage.top / "builder")
    assert not any(first in path.read_bytes() for path in location.rglob("*") if path.is_file())


CODE = '#include <stdio.h>\nint main(void) { puts("@"); return 0; }\n'


def test_a_path_in_a_program_is_replaced_by_a_shorter_one(stage: Stage) -> None:
    made_from = inputs("one")
    place = f"{stage.builder.roots[0]}/one/{made_from.digest}/etc:{stage.builder.roots[0]}/one/{made_from.digest}/lib"
    one(stage, {"bin/one": compiled(stage.top / "scratch", "one", CODE.replace("@", place))})
    store = moved(stage, "s")
    assert stage.client().pull("one", made_from.digest, store)
    location = store.location("one", made_from.digest)
    told = check_run([f"{location}/bin/one"]).text
    assert [os.path.normpath(path) for path in told.strip().split(":")] == [f"{location}/etc", f"{location}/lib"]
    assert len(told) == len(place) + 1  # with slashes: no byte of the program has another place


@pytest.mark.parametrize("declared", [False, True])
def test_a_path_in_a_program_is_not_replaced_by_a_longer_one(stage: Stage, declared: bool) -> None:
    made_from = inputs("one", options={"relocatable": "true"} if declared else {})
    place = f"{stage.builder.roots[0]}/one/{made_from.digest}/etc"
    program = compiled(stage.top / "scratch", "one", CODE.replace("@", place))
    one(stage, {"bin/one": program}, made_from.options)
    store = moved(stage, "a/much/longer/path")
    client = stage.client()
    assert client.pull("one", made_from.digest, store) == declared
    if declared:
        location = store.location("one", made_from.digest)
        told = check_run([f"{location}/bin/one"]).text
        assert told.startswith("/dev/null/-") and told.endswith(f"-/{made_from.digest}/etc\n")
        assert len(told) == len(place) + 1
        assert os.fsencode(stage.top / "builder") not in Path(location, "bin/one").read_bytes()
    else:
        assert [error.reference for error in client.refusals] == ["not-relocatable"]
        assert "written into bin/one" in client.refusals[0].message
        assert not list(store.parts())
        assert client.lookup("one", made_from.digest) is not None
        assert CacheClient(client.settings, store=store).lookup("one", made_from.digest) is None  # a plan says: build


def test_without_patchelf_it_is_built(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    store = moved(stage, "elsewhere")
    monkeypatch.setenv("PATH", "/nonexistent")
    client = stage.client()
    assert client.pull("library", LIBRARY.digest, store)  # names no path
    assert not client.pull("program", PROGRAM.digest, store)
    assert "patchelf is not installed" in client.refusals[0].message


def test_another_format_stays_where_it_was(stage: Stage) -> None:
    """Not even a shorter path is put into a file of which nobody knows what its lengths mean."""
    made_from = one(stage, {"share/data.db": "\0\x10@LOCATION@\0"})
    store = moved(stage, "s")
    client = stage.client()
    assert not client.pull("one", made_from.digest, store)
    assert "share/data.db" in client.refusals[0].message


def test_an_interpreter_line_that_would_be_cut(stage: Stage) -> None:
    made_from = one(stage, {"bin/script": "#!@LOCATION@/bin/sh\n"})
    store = moved(stage, "x" * 100 + "/" + "y" * 150)
    client = stage.client()
    assert not client.pull("one", made_from.digest, store)
    assert [error.reference for error in client.refusals] == ["not-relocatable"]
    assert not list(store.parts())


def test_bytecode_of_a_changed_source_goes(stage: Stage) -> None:
    files = {
        "lib/kept.py": "a = 1\n",
        "lib/__pycache__/kept.cpython-313.pyc": b"\0@LOCATION@/lib/kept.py",
        "lib/changed.py": "prefix = '@LOCATION@'\n",
        "lib/__pycache__/changed.cpython-313.pyc": b"\0@LOCATION@/lib/changed.py",
    }
    made_from = one(stage, files)
    store = moved(stage, "a/much/longer/path")
    assert stage.client().pull("one", made_from.digest, store)
    assert os.listdir(Path(store.location("one", made_from.digest), "lib/__pycache__")) == ["kept.cpython-313.pyc"]


def test_run_paths_of_what_is_no_program() -> None:
    for data in (b"", b"\x7fELF", b"\x7fELF\2\1" + b"\xff" * 200, b"#!/bin/sh\n"):
        assert run_paths(data).run_path == b""
    assert run_paths(Path("/bin/sh").read_bytes()).interpreter.startswith(b"/lib")


def test_texts_that_share_their_end_with_a_path(stage: Stage) -> None:
    """A linker keeps ``"6"`` as the end of a path that ends with it."""
    made_from = inputs("one", options={"relocatable": "true"})
    place = f"{stage.builder.roots[0]}/one/{made_from.digest}"
    code = f'#include <stdio.h>\nint main(void) {{ puts("{place}"); puts("{made_from.digest[-1]}"); return 0; }}\n'
    program = compiled(stage.top / "scratch", "one", code, "-O2", "-Wl,-O2")
    assert program.count(made_from.digest.encode()) == 1
    one(stage, {"bin/one": program}, made_from.options)
    store = moved(stage, "a/much/longer/path")
    assert stage.client().pull("one", made_from.digest, store)
    told = check_run([f"{store.location('one', made_from.digest)}/bin/one"]).text
    assert told.splitlines()[1] == made_from.digest[-1]


def test_in_place() -> None:
    old = b"/a/store/part/" + b"0" * 32
    assert in_place(old, b"/s/part/" + b"0" * 32) == b"/s///////part/" + b"0" * 32
    assert in_place(old, old) == old
    longer = in_place(old, b"/a/longer/store/part/" + b"0" * 32)
    assert (len(longer), longer[:10], longer[-33:]) == (len(old), b"/dev/null/", old[-33:])
    with pytest.raises(BuildFailed, match="too short a path"):
        in_place(b"/s/p/" + b"0" * 32, b"/longer/p/" + b"0" * 32)
