"""``hyperopenx:simplelogger``: a program that appends what it is told to a log, with the time."""

from __future__ import annotations

import sys
from typing import ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.places import check_argument, file_below, make_parents, path_below
from slapos.cookbook.script import exec_script
from slapos.system.files import write_if_changed

_PROGRAM = """\
import sys, time
lines = sys.stdin.readlines()
prefix = time.strftime("%Y-%m-%d.%H:%M.%S:", time.gmtime())
with open(sys.argv[1], "a") as log:
    log.write("".join(f"{prefix} {line}" for line in [*lines, "-" * 24 + "\\n"]))
"""


class SimpleLogger(Recipe):
    """Writes ``wrapper``, which appends its input to ``log``."""

    OPTIONS: ClassVar[dict[str, str]] = {"wrapper": "mandatory", "log": "mandatory"}

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """Both paths, absolute."""
        outputs = {"wrapper": file_below(options, "wrapper", ""), "log": path_below(options, "log", "")}
        return Description(outputs=dict(outputs))

    def install(self) -> list[str]:
        path, log = self.text("wrapper"), self.text("log")
        make_parents(path)
        make_parents(log)
        words = [sys.executable, "-I", "-c", _PROGRAM, log]
        write_if_changed(path, exec_script(check_argument(self, "log", word) for word in words), 0o700)
        return [path]

    update = install
