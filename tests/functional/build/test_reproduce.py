"""A part built again: what must not matter does not, and what does is named."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from slapos.build.fetch.profiles import ProfileReader
from slapos.build.profile.buildout import Buildout
from slapos.build.reproduce import Reproduced, reproduce, require_same
from slapos.build.sandbox import available
from slapos.build.store.record import write_record
from slapos.build.store.store import Store
from slapos.build.tree_difference import first_difference
from slapos.model.errors import BuildFailed, InputError
from tests.security.build_sandbox.hostile import built, names, section

REASON = available()
confined = pytest.mark.skipif(bool(REASON), reason=f"no sandbox here: {REASON}")


def checked(directory: Path, make: str, more: str = "", **other: Any) -> Reproduced:
    """The part ``tool`` that runs ``make``, built again after it was built for the store; ``other`` than there was is
    what its record says then."""
    text = section(directory, "tool", make, more)
    assert built(directory, text, "tool").outcome == "done"
    for stored in list(Store((str(directory / "store"),)).parts()) if other else ():
        os.chmod(stored.location, 0o755)
        write_record(stored.location, dataclasses.replace(stored.record, **other))
    overrides = {"buildout": {"store": str(directory / "store")}}
    buildout = Buildout(
        profile=str(directory / "software.cfg"),
        directory=str(directory / "work"),
        read=ProfileReader(offline=True),
        overrides=overrides,
    )
    found = reproduce(buildout, "tool")
    assert names(directory) == ["tool"]
    assert os.listdir(directory / "store" / ".work") == []
    return found


@confined
def test_what_does_not_matter(tmp_path: Path) -> None:
    """The compiler, debugging data with paths, the date macros, an archive of objects."""
    make = (
        'echo "#include <stdio.h>" > a.c; echo "int main(void) { puts(__DATE__ __TIME__ __FILE__); }" >> a.c; '
        "gcc -g -O1 -c a.c; ar cr lib.a a.o; gcc -g -o out lib.a; pwd >> out; umask >> out; echo $HOME >> out"
    )
    found = checked(tmp_path, make, "version = 4.2")
    assert found.difference is None, found.sentence
    assert found.version == "4.2"
    assert f"byte for byte: the one in the store, built {found.builds[0].day} with at most" in found.sentence
    require_same(found)
    record = next(Store((str(tmp_path / "store"),)).parts()).record
    assert (record.jobs, record.built_at) == (found.builds[0].jobs, found.builds[0].at)
    assert {build.jobs == 1 for build in found.builds} == {False, True}


@confined
@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"jobs": 0}, id="by how many jobs is not known"),
        pytest.param({"fetched": "https://cache.example.com"}, id="fetched"),
        pytest.param({"sandbox": "none: there was none"}, id="without a sandbox"),
    ],
)
def test_one_in_the_store_that_is_no_first_build(tmp_path: Path, other: dict[str, Any]) -> None:
    """Both are made then, and neither is the one in the store: that one is not looked at."""
    found = checked(tmp_path, "cat /proc/sys/kernel/random/uuid > out", **other)
    assert [(build.stored, build.jobs) for build in found.builds] == [(False, 1), (False, 3)]
    assert found.difference is not None
    stored = next(Store((str(tmp_path / "store"),)).parts())
    assert Path(stored.location, "tool").read_text().strip() not in found.sentence


@confined
@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param("date +%s.%N > out", "line 1 is ", id="the time"),
        pytest.param("id -u > out", "'1000', then '2001'", id="the user"),
        pytest.param("cat /proc/sys/kernel/random/uuid > out", "line 1 is ", id="chance"),
        pytest.param('grep -o "/[^ ]*/tree" /proc/self/mountinfo > out', "another/directory", id="the directory"),
        pytest.param('echo "$$MAKEFLAGS" > out', "line 1 is ", id="the number of jobs"),
        pytest.param("date +%Y-%m-%d > out", "it holds the day of its build", id="the day"),
    ],
)
def test_what_matters_is_named(tmp_path: Path, make: str, said: str) -> None:
    found = checked(tmp_path, make.replace("$$", "$"))
    assert found.difference is not None
    assert found.difference.path == "tool"
    assert said in found.sentence
    with pytest.raises(BuildFailed) as caught:
        require_same(found)
    assert caught.value.reference == "not-reproducible"


@confined
def test_a_part_that_is_not_stored_or_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    profile = tmp_path / "software.cfg"
    profile.write_text("[buildout]\nparts = own\n[own]\nrecipe = hyperopenx:cmmi\npath = source\n")
    overrides = {"buildout": {"store": str(tmp_path / "store")}}
    read = ProfileReader(offline=True)
    buildout = Buildout(profile=str(profile), directory=str(tmp_path / "work"), read=read, overrides=overrides)
    with pytest.raises(InputError) as caught:
        reproduce(buildout, "own")
    assert caught.value.reference == "not-stored"
    with pytest.raises(InputError) as caught:
        reproduce(buildout, "other")
    assert caught.value.reference == "unknown-part"


def test_the_first_difference_of_two_trees(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for tree in (one, other):
        (tree / "bin").mkdir(parents=True)
        (tree / "bin/a").write_bytes(b"\0binary the same")
        (tree / "text").write_text("line\nline\n")
        (tree / "z").symlink_to("text")
    assert first_difference(str(one), str(other)) is None
    (other / "z").unlink()
    (other / "z").symlink_to("bin")
    _says(one, other, "z", "leads to text, then to bin")
    (other / "text").write_text("line\nother\n")
    _says(one, other, "text", "line 2 is 'line', then 'other'")
    (other / "text").chmod(0o755)
    _says(one, other, "text", "its mode is")
    (one / "middle").mkdir()
    _says(one, other, "middle", "only the first build made it")
    (other / "bin/a").write_bytes(b"\0binary the sane")
    _says(one, other, "bin/a", "byte 14 of 16: '.binary the same', then '.binary the sane'")
    (other / "bin/a").unlink()
    (other / "bin/a").mkdir()
    _says(one, other, "bin/a", "not the same kind")


def _says(one: Path, other: Path, path: str, sentence: str) -> None:
    found = first_difference(str(one), str(other))
    assert found is not None
    assert found.path == path
    assert sentence in found.sentence
