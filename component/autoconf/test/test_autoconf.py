"""autoconf: its configure scripts find out what the machine can."""

from __future__ import annotations

from pathlib import Path

from slapos.system.processes import Launch, run
from slapos.testing.components import Component

SCRIPT = """AC_INIT([hello], [1.0])
AC_PROG_CC
AC_CHECK_HEADERS([stdio.h no/such.h])
AC_CONFIG_FILES([result])
AC_SUBST([answer], [42])
AC_OUTPUT
"""


def test_a_configure_script(component: Component, tmp_path: Path) -> None:
    (tmp_path / "configure.ac").write_text(SCRIPT)
    (tmp_path / "result.in").write_text("@answer@ @PACKAGE_VERSION@")
    done = run([component.path("bin/autoconf")], launch=Launch(directory=str(tmp_path)), timeout=120)
    assert done.code == 0, done.text
    done = run(["./configure"], launch=Launch(directory=str(tmp_path)), timeout=120)
    assert done.code == 0, done.text
    assert "checking for no/such.h... no" in done.text
    assert (tmp_path / "result").read_text() == "42 1.0\n"
