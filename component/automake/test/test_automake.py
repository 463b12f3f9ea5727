"""automake: a program is made and installed by its makefile."""

from __future__ import annotations

from pathlib import Path

from slapos.system.processes import Launch, run
from slapos.testing.components import Component

SCRIPT = "AC_INIT([hello], [1.0])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n"


def test_a_makefile(component: Component, tmp_path: Path) -> None:
    (tmp_path / "configure.ac").write_text(SCRIPT)
    (tmp_path / "Makefile.am").write_text("bin_PROGRAMS = hello\n")
    (tmp_path / "hello.c").write_text('#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n')
    path = ":".join(f"{component.locations[name]}/bin" for name in ("automake", "autoconf", "m4"))
    launch = Launch(directory=str(tmp_path), environment={"PATH": f"{path}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
    for command in (["autoreconf", "-i"], ["./configure", f"--prefix={tmp_path}/out"], ["make", "install"]):
        done = run(command, launch=launch, timeout=120)
        assert done.code == 0, done.text
    assert run([f"{tmp_path}/out/bin/hello"]).text == "hello\n"
