"""The recipe ``symlinks``: names, patterns, the store, and mistakes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slapos.build.store.store import Store
from slapos.system.processes import run
from tests.unit.build.profiles import outcomes_of
from tests.unit.build.sources import archive, build, built, failure

INSTALL = "all:\ninstall:\n\tmkdir -p $(DESTDIR)$(HERE)/bin\n\tcp one two $(DESTDIR)$(HERE)/bin\n"


def profile(tmp_path: Path, links: str, more: str = "") -> str:
    files = {"Makefile": INSTALL, "one": "#!/bin/sh\necho 1\n", "two": "#!/bin/sh\necho 2\n"}
    source = archive(tmp_path / "tools.tar", files)
    lines = "".join(f"\n  {line}" for line in links.split("\n"))
    return f"""[buildout]
parts = all
[tools]
recipe = hyperopenx:cmmi
{source}make-options = HERE=@@LOCATION@@
[all]
recipe = hyperopenx:symlinks
links ={lines}
{more}"""


def test_names_directories_and_patterns(tmp_path: Path) -> None:
    links = (
        "bin/ = ${tools:location}/bin/*\n${tools:location}/bin/one\nbin/uno = ${tools:location}/bin/one\nsh = /bin/sh"
    )
    result = build(tmp_path, profile(tmp_path, links, "promises = @@LOCATION@@/bin/two"))
    assert result.outcome == "done", result.error
    location, tools = built(tmp_path, "all"), built(tmp_path, "tools")
    assert run([f"{location}/bin/uno"]).text == "1\n"
    assert run([f"{location}/bin/two"]).text == "2\n"
    assert {name: os.readlink(location / name) for name in ("one", "sh", "bin/two")} == {
        "one": f"{tools}/bin/one",
        "sh": "/bin/sh",
        "bin/two": f"{tools}/bin/two",
    }
    record = next(item.record for item in Store((str(tmp_path / "store"),)).parts() if item.record.inputs.part == "all")
    assert [name.split("/")[0] for name in record.references] == ["tools"], "the store keeps what the links lead to"
    assert not record.inputs.toolchain, "no compiler makes links"


def test_a_pattern_follows_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "a").touch()
    text = profile(tmp_path, f"{tmp_path}/programs/*", f"location = {tmp_path}/work/here")
    assert outcomes_of(build(tmp_path, text)) == {"all": "installed"}
    assert outcomes_of(build(tmp_path, text)) == {"all": "kept"}
    (tmp_path / "programs" / "b").touch()
    assert outcomes_of(build(tmp_path, text)) == {"all": "installed"}
    assert sorted(os.listdir(tmp_path / "work" / "here")) == ["a", "b"]


@pytest.mark.parametrize(
    ("links", "reference", "word"),
    [
        ("", "missing-option", "links"),
        ("= /bin/sh", "invalid-option", "/bin/sh"),
        ("bin/sh =", "invalid-option", "bin/sh"),
        ("../sh = /bin/sh", "path-outside", "../sh"),
        ("/etc/sh = /bin/sh", "path-outside", "/etc/sh"),
        ("a//b = /bin/sh", "path-outside", "a//b"),
        ("/nowhere/at-all", "missing-file", "/nowhere/at-all"),
        ("bin/ = /nowhere/*", "missing-file", "/nowhere/*"),
        ("sh = /bin/sh\nsh = /bin/ls", "conflicting-files", "/bin/ls"),
        ("sh = /bin/sh\nsh/ls = /bin/ls", "conflicting-files", "sh/ls"),
        ("a/b = /bin/sh\na = /bin/ls", "conflicting-files", "/bin/ls"),
    ],
)
def test_mistakes(tmp_path: Path, links: str, reference: str, word: str) -> None:
    error = failure(build(tmp_path, profile(tmp_path, links)))
    assert error.reference == reference, error.message
    assert word in error.message
    assert not list((tmp_path / "store").glob("all/*"))


def test_a_link_that_leads_nowhere_is_no_target(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    assert failure(build(tmp_path, profile(tmp_path, f"{tmp_path}/dangling"))).reference == "missing-file"
