"""The recipes ``cmake`` and ``meson`` with the real programs, in the store and its sandbox."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from slapos.build.sandbox import available
from slapos.build.store.store import Store
from slapos.system.processes import run
from tests.unit.build.sources import archive, build, built, failure

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("cmake", "meson", "ninja"))), reason="cmake, meson or ninja is not installed"
)

LIBRARY = {"answer.c": "int answer(void) { return 42; }\n", "answer.h": "int answer(void);\n"}
PROGRAM = '#include <stdio.h>\n#include "answer.h"\nint main(void) { printf("%d " WORD "\\n", answer()); return 0; }\n'
SOURCES = {
    "cmake": {
        **LIBRARY,
        "tell.c": PROGRAM,
        "CMakeLists.txt": """cmake_minimum_required(VERSION 3.16)
project(tell C)
add_library(answer SHARED answer.c)
add_executable(tell tell.c)
target_compile_definitions(tell PRIVATE "WORD=\\"${WORD}\\"")
target_link_libraries(tell answer)
install(TARGETS answer tell)
""",
    },
    "meson": {
        **LIBRARY,
        "tell.c": PROGRAM,
        "meson_options.txt": "option('word', type: 'string')\n",
        "meson.build": """project('tell', 'c')
answer = shared_library('answer', 'answer.c', install: true)
executable('tell', 'tell.c', link_with: answer, install: true, c_args: '-DWORD="' + get_option('word') + '"')
""",
    },
}
OPTION = {"cmake": "-DWORD=here", "meson": "-Dword=here"}
KINDS = ["cmake", "cmake Ninja", "meson"]


def profile(tmp_path: Path, kind: str, more: str = "") -> str:
    """A release with the one part ``tell``."""
    tool, _, generator = kind.partition(" ")
    chosen = f"generator = {generator}\n" if generator else ""
    source = archive(tmp_path / f"{tool}.tar", SOURCES[tool])
    return f"""[buildout]
parts = tell
[tell]
recipe = hyperopenx:{tool}
{source}{chosen}configure-options = {OPTION[tool]}
{more}"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_with_its_own_library_runs_from_the_store(tmp_path: Path, kind: str) -> None:
    result = build(tmp_path, profile(tmp_path, kind, "promises = @@LOCATION@@/lib/libanswer.so"))
    assert result.outcome == "done", result.error
    location = built(tmp_path, "tell")
    assert run([f"{location}/bin/tell"]).text == "42 here\n"
    record = next(iter(Store((str(tmp_path / "store"),)).parts())).record
    package = kind.partition(" ")[0]
    assert record.inputs.toolchain[package], "the version of the tool counts"
    if not available():
        assert record.sandbox == "bubblewrap"
    assert {"configure", "make", "install"} <= set(record.seconds)
    assert not os.access(location / "bin" / "tell", os.W_OK) or os.geteuid() == 0


@pytest.mark.parametrize("kind", ["cmake", "meson"])
def test_a_part_of_one_release_is_built_in_its_place(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "work" / "here"
    result = build(tmp_path, profile(tmp_path, kind, f"location = {place}\npost-install = touch @@LOCATION@@/after"))
    assert result.outcome == "done", result.error
    assert run([f"{place}/bin/tell"]).text == "42 here\n"
    assert (place / "after").exists()


@pytest.mark.parametrize("kind", ["cmake Ninja", "meson"])
def test_what_does_not_compile_is_told(tmp_path: Path, kind: str) -> None:
    text = profile(tmp_path, kind, "pre-configure = echo '#include \"nowhere.h\"' >> answer.c")
    error = failure(build(tmp_path, text))
    assert error.reference == "build-command-failed"
    assert "nowhere.h" in Path(error.context["log"]).read_text()
    assert not list((tmp_path / "store").glob("tell/*"))


@pytest.mark.parametrize(
    ("tool", "more", "reference", "word"),
    [
        ("cmake", "generator = Xcode", "invalid-option", "Unix Makefiles or Ninja"),
        ("cmake", "source-directory = nowhere", "build-command-failed", "nowhere"),
        ("cmake", "promises = @@LOCATION@@/lib/gone.so", "broken-promise", "gone.so"),
        ("meson", "build-type = quick", "build-command-failed", "buildtype"),
        ("meson", "promises = @@LOCATION@@/lib/gone.so", "broken-promise", "gone.so"),
    ],
)
def test_mistakes(tmp_path: Path, tool: str, more: str, reference: str, word: str) -> None:
    error = failure(build(tmp_path, profile(tmp_path, tool, more)))
    assert error.reference == reference
    assert word in f"{error.message} {error.context}"


@pytest.mark.parametrize("option", ["cmake cmake-binary", "cmake make-binary", "meson ninja-binary"])
def test_a_tool_that_is_not_there(tmp_path: Path, option: str) -> None:
    tool, _, name = option.partition(" ")
    error = failure(build(tmp_path, profile(tmp_path, tool, f"{name} = no-such-tool")))
    assert "no-such-tool" in error.message
    assert "no-such-tool" in str(error.context["tail"])


def test_an_install_step_that_installs_nothing(tmp_path: Path) -> None:
    files = {"CMakeLists.txt": "cmake_minimum_required(VERSION 3.16)\nproject(none NONE)\n"}
    source = archive(tmp_path / "none.tar", files)
    error = failure(build(tmp_path, f"[buildout]\nparts = none\n[none]\nrecipe = hyperopenx:cmake\n{source}"))
    assert error.reference == "nothing-installed"
    assert "cmake --install" in error.message
