"""Any value through every recipe that takes values: the same bytes come out, and a second run does nothing."""

from __future__ import annotations

import json
import runpy
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from slapos.model.errors import HyperopenxError, InputError
from slapos.model.text import check_text
from slapos.slap.documents import instance_to_data
from tests.unit.cookbook.engine import Master, Partition, connection_section, instance

PIECES = [
    "${buildout:directory}",
    "${slap-configuration:configuration.x}",
    "$${x}",
    "{{ dumps(1) }}",
    "%(x)s",
    "%(__buildout_space_n__)s",
    "!json!",
    "'",
    '"',
    "\\",
    " ",
    "\n",
    "\r\n",
    "\t",
    ";",
    "#",
    "=",
    "[x]",
    "<= y",
    "$(id)",
    "`id`",
    "&&",
    "*",
    "~",
    "--",
    "🙂",
    "é",
    "\u2028",
]


def _travels(text: str) -> bool:
    try:
        check_text("x", text)
    except InputError:
        return False
    return True


HOSTILE = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join),
    st.text(max_size=30).filter(_travels),
)

PROFILE = """
[buildout]
parts = wrapper promise command publish request secret job password
[slap-configuration]
recipe = hyperopenx:slapconfiguration.serialised
[wrapper]
recipe = hyperopenx:wrapper
wrapper-path = etc/service/show
command-line = /bin/sh -c 'printf "%s\\0" "$0" "$1" "$VARIABLE"' ${slap-configuration:configuration.x} a${slap-configuration:configuration.x}b
environment = VARIABLE=${slap-configuration:configuration.x}
[promise]
recipe = hyperopenx:promise
module = fractions
class = Fraction
config-x = ${slap-configuration:configuration.x}
config-all = ${slap-configuration:configuration}
[command]
recipe = hyperopenx:promise
command-line = /usr/bin/printf %s\\\\0 ${slap-configuration:configuration.x}
[publish]
recipe = hyperopenx:publish
x = ${slap-configuration:configuration.x}
ax = a${slap-configuration:configuration.x}
[request]
recipe = hyperopenx:request.serialised
name = child
software-url = /r/software.cfg
config-x = ${slap-configuration:configuration.x}
sla-x = ${slap-configuration:configuration.x}
return = echo
[secret]
recipe = hyperopenx:publish.serialised
x = ${request:connection-echo}
[job]
recipe = hyperopenx:cron.d
command = printf "%s\\0" ${slap-configuration:configuration.x} > ${buildout:directory}/job
time = daily
[password]
recipe = hyperopenx:password
passwd = ${slap-configuration:configuration.x}
"""  # noqa: E501 - a profile's line cannot be broken within quotes


FIELD_PROFILE = PROFILE.replace("hyperopenx:password", "slapos.cookbook:generate.password")
for _name in ("wrapper", "publish", "request", "cron.d", "slapconfiguration"):
    FIELD_PROFILE = FIELD_PROFILE.replace(f"hyperopenx:{_name}", f"slapos.cookbook:{_name}")


def run(partition: Partition, master: Master, value: str, profile: str = PROFILE) -> dict[str, str]:
    """One processing; what each part did."""
    master.calls.clear()
    parameters = {"_": json.dumps({"x": value})}
    published = {"x": value, "ax": f"a{value}"}
    child = instance_to_data(instance(guid="SOFTINST-8", title="child", connection={"echo": value}))
    master.answers = {
        "hyperopenx.put.v0.connection": {"generation": 1},
        "hyperopenx.post.v0.instance": child,
    }
    document = partition.directory.parent / "instance.json"
    document.write_text(json.dumps(instance_to_data(instance(parameters=parameters, connection=published))))
    report = partition.done(profile, slap__connection=connection_section(document, master.url))
    return partition.outcomes(report)


def output_of(command: list[str], directory: Path) -> list[str]:
    done = subprocess.run(command, capture_output=True, check=True, timeout=10, cwd=directory, env={})
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("profile", [PROFILE, FIELD_PROFILE], ids=["ours", "field"])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=HOSTILE)
@example(value=" ")
@example(value="".join(PIECES))
@example(value="")
def test_the_same_bytes_come_out_and_a_second_run_does_nothing(profile: str, master: Master, value: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        partition = Partition(Path(directory) / "slappart0")
        run(partition, master, value, profile)
        written = partition.directory
        assert output_of([str(written / "etc/service/show")], written) == [value, f"a{value}b", value]
        assert output_of([str(written / "etc/promise/command")], written) == [value]
        plugin = runpy.run_path(str(written / "etc/plugin/promise.py"))["extra_config_dict"]
        assert plugin == {"x": value, "all": {"x": value}}
        check_calls(master, value)
        entry = json.loads((written / "etc/cron.d/job").read_text())
        subprocess.run(["/bin/sh", "-c", entry["command"]], check=True, timeout=10, env={})
        assert (written / "job").read_bytes().decode().split("\0") == [value, ""]
        if value:
            assert json.loads((written / "parts/password").read_text()) == {"": value}
        before = partition.snapshot()
        outcomes = run(partition, master, value, profile)
        assert set(outcomes.values()) == {"kept"}, outcomes
        after = partition.snapshot()
        for told in (".slapos-request-transaction-slappart0", ".hyperopenx/published.json"):
            before.pop(told), after.pop(told)
        assert after == before


def check_calls(master: Master, value: str) -> None:
    """What left for the master."""
    (request,) = master.messages("hyperopenx.post.v0.instance")
    assert json.loads(request["parameters"]["_"]) == {"x": value}
    assert request["sla"] == ({"x": value} if value else {})
    flat, serialised = (message["connection"] for message in master.messages("hyperopenx.put.v0.connection"))
    assert flat == {"x": value, "ax": f"a{value}"}
    assert json.loads(serialised["_"]) == {"x": value}


def test_a_megabyte_is_carried_or_refused_by_name(partition: Partition, master: Master) -> None:
    value = "🙂" * 250_000
    with pytest.raises(InputError) as caught:
        run(partition, master, value)
    assert (caught.value.reference, caught.value.context["option"]) == ("too-large", "command-line")
    outcomes = partition.outcomes(partition.run((partition.directory / "buildout.cfg").read_text()))
    failed = {part for part, outcome in outcomes.items() if outcome == "failed"}
    assert failed == {"wrapper", "command", "job"}
    plugin = runpy.run_path(str(partition.directory / "etc/plugin/promise.py"))
    assert plugin["extra_config_dict"]["x"] == value
    check_calls_of_megabyte(master, value)


def check_calls_of_megabyte(master: Master, value: str) -> None:
    assert json.loads(master.messages("hyperopenx.post.v0.instance")[0]["parameters"]["_"]) == {"x": value}


@pytest.mark.parametrize("value", ["a\0b", "\x01", "\ud800"])
def test_what_cannot_travel_is_refused_by_name(partition: Partition, master: Master, value: str) -> None:
    with pytest.raises(HyperopenxError) as caught:
        run(partition, master, value)
    assert (caught.value.reference, caught.value.context["field"]) == ("invalid-text", "$.x")
    assert master.calls == []
    # A value that did not come from the requester is refused by each part that would have to carry it.
    values = {"configuration": {"x": value}, "configuration.x": value}
    profile = PROFILE.replace("[slap-configuration]\nrecipe = hyperopenx:slapconfiguration.serialised", "")
    report = partition.run(profile, slap__connection=connection_section(url=master.url), slap__configuration=values)
    outcomes = partition.outcomes(report)
    assert {part for part, outcome in outcomes.items() if outcome == "failed"} == {
        "wrapper",
        "command",
        "publish",
        "request",
        "job",
        "password",
    }
    assert {error.reference for error in report.errors} == {"invalid-text"}
