"""libtool: makes a shared library and a program that finds it."""

from __future__ import annotations

from pathlib import Path

from slapos.system.processes import Launch, run
from slapos.testing.components import Component


def test_a_shared_library(component: Component, tmp_path: Path) -> None:
    (tmp_path / "greet.c").write_text("int greet(void) { return 42; }\n")
    (tmp_path / "main.c").write_text("int greet(void);\nint main(void) { return greet() != 42; }\n")
    (tmp_path / "lib").mkdir()
    libtool = f"{component.path('bin/libtool')} --tag=CC --quiet --mode="
    script = f"""
        {libtool}compile gcc -c greet.c
        {libtool}link gcc -o libgreet.la greet.lo -rpath {tmp_path}/lib -version-info 3:0:1
        {libtool}install install -c libgreet.la {tmp_path}/lib
        gcc -o main main.c -L{tmp_path}/lib -lgreet -Wl,-rpath,{tmp_path}/lib
        ./main
    """
    done = run(["sh", "-ec", script], launch=Launch(directory=str(tmp_path)), timeout=120)
    assert done.code == 0, done.text
    assert (tmp_path / "lib/libgreet.so.2.1.0").exists()
