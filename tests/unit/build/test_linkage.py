"""What programs are linked to: real ones, made by the machine's compiler, each right or wrong in one way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slapos.build.lint.linkage import Linked, elf_files, judge, parse_readelf, read_links, wrong_links
from slapos.model.errors import MachineError
from slapos.system.processes import Launch, run


class Parts:
    """Parts below a directory, with libraries and programs that are compiled on the spot."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def compile(self, target: str, text: str, *options: str) -> Path:
        path = self.directory / target
        path.parent.mkdir(parents=True, exist_ok=True)
        command = ["gcc", "-xc", "-", "-o", str(path), *options]
        done = run(command, launch=Launch(directory=str(self.directory)), stdin=text.encode(), timeout=60)
        assert done.code == 0, done.text
        return path

    def library(self, target: str, *options: str) -> Path:
        return self.compile(target, "int greet(void) { return 42; }", "-shared", "-fPIC", *options)

    def program(self, target: str, *options: str) -> Path:
        return self.compile(target, "int greet(void); int main(void) { return greet() - 42; }", *options)


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    made = Parts(tmp_path)
    made.library("greeting/lib/libgreeting.so", "-Wl,-soname,libgreeting.so")
    return made


def library_of(parts: Parts, part: str = "greeting") -> tuple[str, str]:
    return f"-L{parts.directory}/{part}/lib", "-lgreeting"


def sentences(parts: Parts, *others: str) -> list[str]:
    found = wrong_links(str(parts.directory / "hello"), [str(parts.directory / other) for other in others])
    return [wrong.sentence.replace(f"{parts.directory}/", "") for wrong in found]


def test_a_part_and_libc_are_right(parts: Parts) -> None:
    program = parts.program("hello/bin/hello", *library_of(parts), f"-Wl,-rpath,{parts.directory}/greeting/lib", "-lm")
    assert run([str(program)]).code == 0
    assert sentences(parts, "greeting") == []


def test_the_own_part_is_found_through_origin(parts: Parts) -> None:
    parts.library("hello/lib/libgreeting.so", "-Wl,-soname,libgreeting.so")
    parts.program("hello/bin/hello", *library_of(parts, "hello"), "-Wl,-rpath,$ORIGIN/../lib")
    assert sentences(parts) == []


def test_a_library_of_the_machine_is_wrong(parts: Parts) -> None:
    parts.program("hello/bin/hello", *library_of(parts))
    parts.compile("hello/lib/module.so", "int nothing;", "-shared", "-fPIC", "-Wl,--no-as-needed", *library_of(parts))
    says = "takes libgreeting.so from the machine: its run path leads to no such library."
    assert sentences(parts, "greeting") == [f"hello/bin/hello {says}", f"hello/lib/module.so {says}"]


def test_a_part_that_is_not_among_the_used_ones_is_wrong(parts: Parts) -> None:
    parts.program("hello/bin/hello", *library_of(parts), f"-Wl,-rpath,{parts.directory}/greeting/lib")
    assert sentences(parts) == [
        f"hello/bin/hello searches '{parts.directory}/greeting/lib', which is in no part it uses.".replace(
            f"{parts.directory}/", ""
        ),
        "hello/bin/hello uses greeting/lib/libgreeting.so, which is in no part it uses.",
    ]


def test_a_link_out_of_the_part_is_wrong(parts: Parts) -> None:
    parts.library("machine/libgreeting.so", "-Wl,-soname,libgreeting.so")
    parts.program("hello/bin/hello", *library_of(parts), f"-Wl,-rpath,{parts.directory}/hello/lib")
    (parts.directory / "hello/lib").mkdir()
    (parts.directory / "hello/lib/libgreeting.so").symlink_to(parts.directory / "machine/libgreeting.so")
    assert sentences(parts) == ["hello/bin/hello uses hello/lib/libgreeting.so, which is in no part it uses."]


@pytest.mark.parametrize("directory", ["", "lib", "/usr/local/lib"])
def test_a_run_path_that_others_may_fill_is_wrong(parts: Parts, directory: str) -> None:
    """An empty entry is the directory in which the program is started."""
    run_path = f"{parts.directory}/greeting/lib:{directory}"
    parts.program("hello/bin/hello", *library_of(parts), f"-Wl,-rpath,{run_path}")
    assert sentences(parts, "greeting") == [f"hello/bin/hello searches {directory!r}, which is in no part it uses."]


def test_another_loader_is_wrong() -> None:
    found = list(judge(Linked("/p/bin/x", ("libc.so.6",), (), "/p/lib/ld-evil.so"), ["/p"]))
    assert [wrong.sentence for wrong in found] == [
        "/p/bin/x is started by /p/lib/ld-evil.so, which is not libc's loader."
    ]
    for loader in ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib64/ld64.so.2"):
        assert list(judge(Linked("/p/bin/x", ("libc.so.6",), (), loader), ["/p"])) == []


def test_every_file_is_read_once_whatever_their_number(parts: Parts) -> None:
    """Links and what is no ELF file are left out; readelf writes a file's name only when there are several."""
    library = parts.directory / "greeting/lib/libgreeting.so"
    (library.parent / "libgreeting.so.1").symlink_to(library)
    (library.parent / "README").write_text("not ELF")
    os.mkfifo(library.parent / "pipe")
    assert list(elf_files(str(parts.directory))) == [str(library)]
    assert [linked.path for linked in read_links([str(library)])] == [str(library)]
    many = [str(library)] * 205
    assert [linked.path for linked in read_links(many)] == many
    assert parse_readelf("") == []


def test_a_machine_without_readelf_says_so(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slapos.build.lint.linkage.READELF", "/nonexistent/readelf")
    with pytest.raises(MachineError, match="readelf cannot be started"):
        read_links([str(parts.directory / "greeting/lib/libgreeting.so")])
