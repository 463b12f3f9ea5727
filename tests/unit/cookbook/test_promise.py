"""Executable promises and plugins."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slapos.cookbook import promise
from slapos.model.errors import ProfileError
from slapos.promises import child
from tests.unit.cookbook.engine import Partition

PLUGIN = """
[buildout]
parts = check
[check]
recipe = hyperopenx:promise.plugin
output = etc/plugin/check.py
"""
PROMISE = "[buildout]\nparts = check\n[check]\nrecipe = hyperopenx:promise\n"
VALUES: dict[str, Any] = {
    "hostile": 'a ${buildout:directory} {{ x }} %(y)s \'""" \\ \n # ; é 🙂',
    "number": 3,
    "list": ["a", None, 1.5],
    "megabyte": "x" * 1_000_000,
}


def configured() -> str:
    return "".join(f"config-{name} = ${{given:{name}}}\n" for name in VALUES)


def test_a_plugin_has_the_shape_that_launchers_read(partition: Partition) -> None:
    partition.done(PLUGIN + "module = fractions\nclass = Fraction\n" + configured(), given=VALUES)
    path = partition.directory / "etc/plugin/check.py"
    assert path.stat().st_mode & 0o777 == 0o644
    first = next(line for line in path.read_text().splitlines() if "=" in line)
    assert first == "sys.path[0:0] = []"
    loaded = runpy.run_path(str(path))
    assert loaded["extra_config_dict"] == VALUES
    assert loaded["RunPromise"].__name__ == "Fraction"
    before = partition.snapshot()
    partition.done(PLUGIN + "module = fractions\nclass = Fraction\n" + configured(), given=VALUES)
    assert partition.snapshot() == before


def test_a_plugin_from_a_file(partition: Partition, tmp_path: Path) -> None:
    source = tmp_path / "own check's.py"
    source.write_text("class Mine:\n    where = __name__\n")
    partition.done(PLUGIN + f"file = {source}\nclass = Mine\n")
    assert runpy.run_path(str(partition.directory / "etc/plugin/check.py"))["RunPromise"].__name__ == "Mine"


def test_eggs_of_the_release_come_first_and_replace_what_was_loaded(partition: Partition) -> None:
    egg = partition.directory / "eggs/other_thing-1.0-py3.egg"
    egg.mkdir(parents=True)
    (egg / "other_thing.py").write_text("class RunPromise:\n    pass\n")
    profile = PLUGIN + "module = other_thing\neggs =\n  slapos.toolbox\n  other.thing\n"
    partition.done(profile)
    path = partition.directory / "etc/plugin/check.py"
    code = f"import slapos.model.text, sys, runpy; runpy.run_path({str(path)!r}); "
    code += "print('slapos.model.text' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == "False\n"
    with pytest.raises(ProfileError) as caught:
        partition.done(profile.replace("other.thing", "absent"))
    assert caught.value.reference == "missing-egg"


def test_an_executable_promise(partition: Partition) -> None:
    partition.done(PROMISE + "name = up\ncommand-line = /usr/bin/printf %s ${given:hostile}\n", given=VALUES)
    done = subprocess.run([partition.directory / "etc/promise/up"], capture_output=True, check=True, timeout=10)
    assert done.stdout.decode() == VALUES["hostile"]


def test_a_module_makes_a_plugin_named_as_the_promise(partition: Partition) -> None:
    partition.done(PROMISE + "name = up\nmodule = fractions\nclass = Fraction\nconfig-a = 1\n")
    assert runpy.run_path(str(partition.directory / "etc/plugin/up.py"))["extra_config_dict"] == {"a": "1"}
    partition.done(PROMISE + "name = up2\nmodule = fractions\nclass = Fraction\n")
    assert not (partition.directory / "etc/plugin/up.py").exists()


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("check = no_such_check", "unknown-check"),
        ("check = ../evil", "invalid-option"),
        ("module = os; import sys", "invalid-option"),
        ("module = os\nclass = a b", "invalid-option"),
        ("", "invalid-option"),
        ("module = os\ncommand-line = /bin/true", "invalid-option"),
        ("module = os\nname = 0up", "invalid-name"),
        ("command-line = /bin/true\nname = a%b", "invalid-name"),
        ("command-line = /bin/true\nname = ..", "invalid-name"),
        ("module = os\nconfig-partition-id = x", "reserved-name"),
    ],
)
def test_wrong_promises_are_refused(partition: Partition, text: str, reference: str) -> None:
    with pytest.raises(ProfileError) as caught:
        partition.done(PROMISE + text + "\n")
    assert caught.value.reference == reference


def test_reserved_names_are_those_of_the_launcher() -> None:
    """Two copies on purpose: the launcher runs in a release's interpreter, with the standard library only."""
    assert promise._RESERVED == child.RESERVED
