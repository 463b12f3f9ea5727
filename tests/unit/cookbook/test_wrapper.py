"""The wrapper: exact arguments, and what tells the node to restart or to reload."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from slapos.model.errors import InputError, ProfileError
from tests.unit.cookbook.engine import Partition

SHOW = """
[buildout]
parts = service
[service]
recipe = hyperopenx:wrapper
wrapper-path = ${buildout:directory}/etc/service/show
"""


def output_of(path: Path, *arguments: str) -> list[str]:
    """What the wrapped ``show`` prints: one NUL-separated entry per argument."""
    done = subprocess.run([str(path), *arguments], capture_output=True, check=True, timeout=10, env={})
    return done.stdout.decode().split("\0")[:-1]


def facts(partition: Partition, name: str = "show") -> dict[str, Any]:
    data: dict[str, Any] = json.loads((partition.directory / ".hyperopenx" / "services" / f"{name}.json").read_text())
    return data


def test_words_are_those_of_the_packager_whatever_the_values(partition: Partition) -> None:
    value = "two words; $(rm -rf) 'quoted' \"more\" `x` \\ ${buildout:directory} %(a)s\nline # no"
    partition.done(
        SHOW + """command-line = /usr/bin/printf %s\\\\0 a "b c" ${given:value} x=${given:value} '${given:plain}'""",
        given={"value": value, "plain": "with space"},
    )
    path = partition.directory / "etc/service/show"
    assert path.stat().st_mode & 0o777 == 0o700
    assert output_of(path, "extra one") == ["a", "b c", value, f"x={value}", "with space", "extra one"]


def test_a_list_gives_several_words_and_a_whole_reference_is_followed(partition: Partition) -> None:
    profile = SHOW + "command-line = ${base:command-line}\n[base]\ncommand-line = ${base:program} ${given:words} end\n"
    profile += "program = /usr/bin/printf %s\\\\0\n"
    partition.done(profile.replace("${base:program}", "/usr/bin/printf %s\\\\0"), given={"words": ["a b", "", "c"]})
    assert output_of(partition.directory / "etc/service/show") == ["a b", "", "c", "end"]


def test_an_option_of_the_same_section_is_followed(partition: Partition) -> None:
    partition.done(
        SHOW + "command-line = ${:run}\nrun = /usr/bin/printf %s\\\\0 a 'b c' ${given:x}\n", given={"x": "d e"}
    )
    assert output_of(partition.directory / "etc/service/show") == ["a", "b c", "d e"]


def test_the_command_line_may_be_a_list(partition: Partition) -> None:
    partition.done(SHOW + "command-line = ${given:words}", given={"words": ["/usr/bin/printf", "%s\\0", "a b"]})
    assert output_of(partition.directory / "etc/service/show") == ["a b"]


def test_variables_do_not_make_new_ones(partition: Partition) -> None:
    profile = SHOW + "command-line = /usr/bin/env -0\nenvironment =\n  ONE=${given:evil}\n  TWO=a = b\n"
    partition.done(profile, given={"evil": "x\nPATH=/evil\n"})
    shown = output_of(partition.directory / "etc/service/show")
    assert "ONE=x\nPATH=/evil\n" in shown and "TWO=a = b" in shown
    assert not [line for line in shown if line.startswith("PATH=")]


def test_variables_may_be_a_dictionary(partition: Partition) -> None:
    partition.done(
        SHOW + "command-line = /usr/bin/env -0\nenvironment = ${given:all}", given={"all": {"A": "1\n2", "B": "x y"}}
    )
    assert {"A=1\n2", "B=x y"} <= set(output_of(partition.directory / "etc/service/show"))


@pytest.mark.parametrize(
    ("text", "given", "option", "reference"),
    [
        ("command-line = /bin/echo ${given:value}", {"value": "a\0b"}, "command-line", "invalid-text"),
        ("command-line = /bin/echo ${given:value}", {"value": "x" * 1_000_000}, "command-line", "too-large"),
        ("command-line = /bin/true\nenvironment = A=${given:value}", {"value": "\0"}, "environment", "invalid-text"),
        ("command-line = /bin/true\nenvironment = a-b=c", {}, "environment", "invalid-option"),
        ('command-line = /bin/echo "open', {}, "command-line", "invalid-option"),
        ("command-line =", {}, "command-line", "missing-option"),
        ("", {}, "command-line", "missing-option"),
        ("command-line = /bin/true\nreload-signal = KILL", {}, "reload-signal", "invalid-option"),
        ("command-line = /bin/true\nprivate-tmpfs = much /tmp", {}, "private-tmpfs", "invalid-option"),
        ("command-line = /bin/true\nredirect-signal = HUP", {}, "redirect-signal", "invalid-option"),
    ],
)
def test_what_cannot_be_is_refused_with_the_option(
    partition: Partition, text: str, given: dict[str, Any], option: str, reference: str
) -> None:
    with pytest.raises(ProfileError) as caught:
        partition.done(SHOW + text, given=given)
    assert (caught.value.context["option"], caught.value.reference) == (option, reference)
    assert not (partition.directory / "etc").exists()


@pytest.mark.parametrize("name", ["a\nb", "a%b", "..", "a b", "../../outside", "-rf", ".hidden", "é", "x" * 101])
def test_names_of_services_that_could_harm_are_refused(partition: Partition, name: str) -> None:
    profile = SHOW.replace("/etc/service/show", "/etc/service/${given:name}") + "command-line = /bin/true"
    with pytest.raises(InputError) as caught:
        partition.done(profile, given={"name": name})
    assert caught.value.reference in ("invalid-name", "path-outside")
    assert not (partition.directory / "etc").exists()


def test_a_changed_file_of_either_list_changes_its_digest_only(partition: Partition) -> None:
    hashed, reloaded = partition.directory / "hashed.conf", partition.directory / "reloaded.conf"
    profile = (
        SHOW + f"command-line = /bin/true\nhash-files = {hashed}\nreload-files = {reloaded}\nreload-signal = USR1\n"
    )
    profile += 'reload-check-command = /bin/test -f "${:x} y"\nx = a b\n'
    partition.done(profile)
    first = facts(partition)
    assert (first["reload_signal"], first["check_command"]) == ("USR1", ["/bin/test", "-f", "a b y"])
    before = partition.snapshot()
    report = partition.done(profile)
    assert partition.outcomes(report) == {"service": "kept"}
    assert partition.snapshot() == before
    reloaded.write_text("1")
    partition.done(profile)
    second = facts(partition)
    assert second["restart"] == first["restart"] and second["reload"] != first["reload"]
    hashed.write_text("1")
    partition.done(profile)
    third = facts(partition)
    assert third["restart"] != second["restart"] and third["reload"] == second["reload"]
    partition.done(profile.replace("/bin/true", "/bin/true 2"))
    assert facts(partition)["restart"] != third["restart"]
    assert facts(partition)["reload"] == third["reload"]


def test_only_services_have_facts_and_they_go_with_their_service(partition: Partition) -> None:
    partition.done(SHOW + "command-line = /bin/true")
    assert (partition.directory / ".hyperopenx/services/show.json").exists()
    partition.done(SHOW.replace("etc/service", "bin") + "command-line = /bin/true")
    assert not (partition.directory / ".hyperopenx/services/show.json").exists()
    assert not (partition.directory / "etc/service/show").exists()
    assert (partition.directory / "bin/show").exists()


def test_a_hash_in_the_name_replaces_the_older_wrapper(partition: Partition) -> None:
    hashed = partition.directory / "hashed.conf"
    profile = SHOW + f"command-line = /bin/true\nhash-files = {hashed}\nhash-in-name = true\n"
    partition.done(profile)
    first = os.listdir(partition.directory / "etc/service")
    hashed_text = "changed"
    hashed.write_text(hashed_text)
    partition.done(profile)
    second = os.listdir(partition.directory / "etc/service")
    assert len(first) == len(second) == 1 and first != second
    assert os.listdir(partition.directory / ".hyperopenx/services") == [f"{second[0]}.json"]


def test_preparation_before_the_program(partition: Partition) -> None:
    directory = partition.directory
    directory.mkdir()
    (directory / "awaited").touch()
    profile = SHOW + (
        "command-line = /bin/sh -c 'echo out; echo err >&2; kill -HUP $$; cat ${buildout:directory}/pid; echo $$'\n"
        "wait-for-files = ${buildout:directory}/awaited\n"
        "pidfile = ${buildout:directory}/pid\nsig-ign = SIGHUP\n"
        "redirect-stdout = ${buildout:directory}/out\nredirect-stderr = ${buildout:directory}/err\n"
    )
    partition.done(profile)
    assert output_of(directory / "etc/service/show") == []
    shown = (directory / "out").read_text().split()
    assert shown[0] == "out" and shown[1] == shown[2]
    assert (directory / "err").read_text() == "err\n"
