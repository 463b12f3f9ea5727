"""What a machine has to compile with: versions from dpkg's own files, from programs, from headers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slapos.build import dpkg
from slapos.build.toolchain import host_toolchain
from slapos.build.toolchain_view import View, view_of_machine
from slapos.system.processes import run

STATUS = """\
Package: gcc-12
Status: install ok installed
Architecture: amd64
Version: 12.2.0-14
Depends: cpp-12 (= 12.2.0-14), libc6-dev | libc-dev, awk

Package: cpp-12
Status: install ok installed
Architecture: amd64
Version: 12.2.0-14

Package: libc6-dev
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9
Depends: linux-libc-dev

Package: linux-libc-dev
Status: install ok installed
Architecture: amd64
Version: 6.1.1-1

Package: mawk
Status: install ok installed
Architecture: amd64
Version: 1.3
Provides: awk

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
HEADERS = (
    "aaaa  usr/include/linux/fs.h\nbbbb  usr/include/linux/version.h\ncccc  usr/share/doc/linux-libc-dev/copyright\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with dpkg, gcc 12 and a make that no package owns."""
    database, programs = tmp_path / "var/lib/dpkg", tmp_path / "usr/bin"
    (database / "info").mkdir(parents=True)
    programs.mkdir(parents=True)
    (database / "status").write_text(STATUS)
    (database / "info/linux-libc-dev:amd64.md5sums").write_text(HEADERS)
    (database / "info/gcc-12.list").write_text("/.\n/usr\n/usr/bin\n/usr/bin/gcc-12\n")
    (programs / "x86_64-linux-gnu-gcc-12").write_text("")
    (programs / "gcc").symlink_to("x86_64-linux-gnu-gcc-12")
    (programs / "make").write_text("#!/bin/sh\necho Some make 4.9\necho more\n")
    (programs / "make").chmod(0o755)
    return tmp_path


def toolchain(root: Path, *packages: str) -> dict[str, str]:
    return dict(host_toolchain(packages, root=str(root)))


def change(path: Path, old: str, new: str) -> None:
    """Another content, and a time that says so."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    stamp = path.stat().st_mtime_ns + 1_000_000_000
    os.utime(path, ns=(stamp, stamp))


def test_versions_of_packages_and_programs(root: Path) -> None:
    found = toolchain(root)
    assert found["machine"] == os.uname().machine
    assert found["gcc"] == "12.2.0-14"
    assert found["make"] == "Some make 4.9"
    assert found["libc"] == "2.36-9"
    assert "g++" not in found
    assert toolchain(root, "mawk", "absent") == {**found, "mawk": "1.3"}


def test_an_upgrade_is_seen(root: Path) -> None:
    before = toolchain(root)
    change(root / "var/lib/dpkg/status", "Version: 12.2.0-14\nDepends", "Version: 12.2.0-15\nDepends")
    assert toolchain(root) == {**before, "gcc": "12.2.0-15"}


def test_the_headers_of_linux_count_by_what_they_hold(root: Path) -> None:
    """A new kernel package with the same headers changes nothing: its version is in one file that does not count."""
    before = toolchain(root)
    sums = root / "var/lib/dpkg/info/linux-libc-dev:amd64.md5sums"
    change(sums, "bbbb", "dddd")
    change(sums, "cccc", "dddd")
    change(root / "var/lib/dpkg/status", "6.1.1-1", "6.1.2-1")
    assert toolchain(root) == before
    change(sums, "aaaa", "dddd")
    change(root / "var/lib/dpkg/status", "6.1.2-1", "6.1.3-1")
    assert toolchain(root)["linux-headers"] != before["linux-headers"]


def test_without_dpkg_programs_and_headers_speak_for_themselves(root: Path) -> None:
    (root / "var/lib/dpkg/status").unlink()
    (root / "usr/bin/gcc").unlink()
    (root / "usr/bin/gcc").write_text("#!/bin/sh\necho 'gcc (some) 13.1'\n")
    (root / "usr/bin/gcc").chmod(0o755)
    (root / "usr/include/linux").mkdir(parents=True)
    (root / "usr/include/linux/fs.h").write_text("one")
    before = toolchain(root)
    assert before["gcc"] == "gcc (some) 13.1"
    assert before["linux-headers"]


def test_what_packages_need(root: Path) -> None:
    packages = dpkg.installed(str(root / "var/lib/dpkg"))
    assert "gone" not in packages
    assert dpkg.closure(packages, ["gcc-12", "absent"]) == {"gcc-12", "cpp-12", "libc6-dev", "linux-libc-dev", "mawk"}
    assert "/usr/bin/gcc-12" in dpkg.files_of(packages["gcc-12"], str(root / "var/lib/dpkg"))
    assert dpkg.files_of(packages["mawk"], str(root / "var/lib/dpkg")) == []


def test_this_machine_says_what_it_has() -> None:
    found = host_toolchain()
    assert {"machine", "gcc", "make", "binutils", "libc", "linux-headers"} <= set(found)
    said = run(["gcc", "-dumpversion"]).text.strip()
    assert said in found["gcc"]


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("views")


@pytest.fixture
def view(copies: Path) -> View:
    found = view_of_machine(str(copies))
    if not found.is_exact:
        pytest.skip("a machine without dpkg shows all of /usr")
    return found


def test_a_view_holds_the_compiler_and_nothing_of_others(view: View) -> None:
    usr = Path(next(source for source, place in view.binds if place == "/usr"))
    assert (usr / "bin/make").is_file()
    assert os.readlink(usr / "bin/cc").startswith("/usr/bin/")  # not to /etc, which is not in a view
    assert not (usr / "local").exists()
    for program in ("apt-get", "bwrap", "git", "curl", "ssh"):
        assert not (usr / "bin" / program).exists()
    programs = [path for path in (usr / "bin").iterdir() if not path.is_symlink()]
    assert programs
    assert not any(path.stat().st_mode & 0o6000 for path in programs)


def test_a_view_with_more_packages_is_another(view: View, copies: Path) -> None:
    name = next((name for name in ("logrotate", "iproute2") if name in dpkg.installed()), "")
    if not name:
        pytest.skip("no further package here")
    assert view_of_machine(str(copies), (name,)).packages > view.packages


def test_a_view_is_made_once_and_repaired(view: View, copies: Path) -> None:
    usr = Path(next(source for source, place in view.binds if place == "/usr"))
    inode = (usr / "bin/make").stat().st_ino
    assert view_of_machine(str(copies)) == view
    assert (usr / "bin/make").stat().st_ino == inode
    (usr / "bin/make").unlink()  # as a cleaner of temporary files does
    assert view_of_machine(str(copies)) == view
    assert (usr / "bin/make").is_file()
