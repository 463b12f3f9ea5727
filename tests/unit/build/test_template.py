"""The recipes ``template`` and ``template.jinja2``: parameters are data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from slapos.build.job import Job
from slapos.build.run import execute
from slapos.model.errors import HyperopenxError, ProfileError
from tests.unit.build.profiles import Give, make_buildout, outcomes, run_profile, write_profile
from tests.unit.build.test_values import TEXTS, VALUES, canonical
from tests.unit.build.web import serving


@pytest.fixture
def values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Give, "values", {"value": 1, "text": "", "json": "1"})


def error_of(tmp_path: Path, text: str) -> HyperopenxError:
    error = run_profile(tmp_path, text).first_error
    assert error is not None
    return error


def test_plain_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Give, "values", {"x": "${buildout:directory} $$"})
    (tmp_path / "t.in").write_text("a ${give:x} $${HOME} $$5 ${:own}\n")
    text = """
    [buildout]
    parts = t
    [give]
    recipe = test:give
    [t]
    recipe = hyperopenx:template
    url = ${:_profile_base_location_}/t.in
    output = ${buildout:directory}/etc/t
    own = mine
    mode = 0600
    """
    assert run_profile(tmp_path, text).outcome == "done"
    output = tmp_path / "work" / "etc" / "t"
    assert output.read_text() == "a ${buildout:directory} $$ ${HOME} $5 mine\n"
    assert output.stat().st_mode & 0o777 == 0o600
    (tmp_path / "t.in").write_text("changed\n")
    assert outcomes(run_profile(tmp_path, text))["t"] == "kept"
    assert output.read_text() == "changed\n", "a changed template is rendered at each run"


def test_inline_executable(tmp_path: Path) -> None:
    text = """
    [buildout]
    parts = t
    [t]
    recipe = hyperopenx:template
    output = ${buildout:directory}/bin/t
    inline =
      #!/bin/sh
      exec ${:_buildout_section_name_} $${1}
    """
    assert run_profile(tmp_path, text).outcome == "done"
    output = tmp_path / "work" / "bin" / "t"
    assert output.read_text() == "#!/bin/sh\nexec t ${1}"
    assert output.stat().st_mode & 0o100


JINJA = """
[buildout]
parts = t
[give]
recipe = test:give
[t]
recipe = hyperopenx:template.jinja2
output = ${buildout:directory}/out
extra = e
context =
  key value give:value
  key own :extra
  raw text <${give:text}>
  json list [1, 2]
  section all give
  jsonkey parsed give:json
  import os_path os.path
inline = {% INLINE %}
"""


def test_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Give, "values", {"value": {"a": [1]}, "text": "x\nkey evil buildout:directory", "json": "[3]"})
    inline = "{{ value.a[0] }} {{ own }} {{ text }} {{ list[1] }} {{ all.json }} {{ parsed[0] }} {{ os_path.sep }}"
    assert run_profile(tmp_path, JINJA.replace("{% INLINE %}", inline)).outcome == "done"
    written = (tmp_path / "work" / "out").read_text()
    assert written == "1 e <x\nkey evil buildout:directory> 2 [3] 3 /"


@given(VALUES, TEXTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_generated_profile_gives_the_same_value_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any, text: str
) -> None:
    """Parameters through a generated profile, as every instance does it."""
    monkeypatch.setattr(Give, "values", {"value": value, "text": text, "json": "1"})
    inline = "[part]\n  value = {{ dumps(value) }}\n  text = {{ dumps(all.text) }}\n  again = ${:text}\n  last = x"
    inline = inline.replace("\n  ", "\n").replace("\n", "\n  ").replace("${:text}", "{{ '$' }}{:text}")
    assert run_profile(tmp_path, JINJA.replace("{% INLINE %}", "\n  " + inline)).outcome == "done"
    generated = (tmp_path / "work" / "out").read_text()
    inner = tmp_path / "inner"
    inner.mkdir(exist_ok=True)
    section = make_buildout(inner, generated)["part"]
    assert canonical(section["value"]) == canonical(value)
    assert section["text"] == section["again"] == text
    assert section["last"] == "x"
    assert outcomes(run_profile(tmp_path, JINJA.replace("{% INLINE %}", "\n  " + inline))) == {
        "give": "kept",
        "t": "kept",
    }


def test_mistakes_name_template_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Give, "values", {"value": 1, "text": "", "json": "1"})
    (tmp_path / "bad.in").write_text("one\n{{ nobody }}\n")
    text = JINJA.replace("inline = {% INLINE %}", "url = ${:_profile_base_location_}/bad.in")
    error = error_of(tmp_path, text)
    assert error.reference == "template-failed"
    assert f"{tmp_path}/bad.in, line 2" in error.message
    assert "nobody" in error.message
    (tmp_path / "bad.in").write_text("one\n\n{% if %}\n")
    assert "line 3" in error_of(tmp_path, text).message
    (tmp_path / "bad.in").write_text("{{ 1 + 'x' }}")
    assert error_of(tmp_path, text).reference == "template-failed"
    (tmp_path / "bad.in").unlink()
    assert error_of(tmp_path, text).reference == "missing-profile"


@pytest.mark.parametrize(
    "failing",
    [
        "{{ 1 // 0 }}",
        "{{ int('x') }}",
        "{{ {}['k'] }}",
        "{{ 'x' * 10 ** 20 }}",
        "{{ os_path.join(1) }}",
        "{{ os_path.getsize('/nowhere') }}",
        "{{ dumps(dumps) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% include 'nothing' %}",
    ],
)
@pytest.mark.usefixtures("values")
def test_whatever_a_template_raises_is_an_error_of_the_profile(tmp_path: Path, failing: str) -> None:
    (tmp_path / "bad.in").write_text(f"one\n{failing}\n")
    text = JINJA.replace("inline = {% INLINE %}", "url = ${:_profile_base_location_}/bad.in")
    text = text.replace("parts = t", "parts = t other") + "[other]\nrecipe = test:write\n"
    report = run_profile(tmp_path, text)
    assert outcomes(report)["other"] == "installed", "the other parts go on"
    error = report.first_error
    assert isinstance(error, ProfileError)
    assert error.reference == "template-failed"
    assert f"[t] output: the template {tmp_path}/bad.in, line 2 cannot" in error.message


@pytest.mark.parametrize("more", ["extensions = no.such.extension", "inline = {{ chr(0xd800) }}"])
@pytest.mark.usefixtures("values")
def test_what_cannot_be_rendered_or_written(tmp_path: Path, more: str) -> None:
    more = more if "inline" in more else f"{more}\ninline = x"
    assert error_of(tmp_path, JINJA.replace("inline = {% INLINE %}", more)).reference == "template-failed"


@pytest.mark.parametrize(
    "line",
    ["import x ..", "import x", "nonsense x y", "key x", "key x nocolon", "json x {", "import x no_such_module", "key"],
)
def test_bad_context_lines(tmp_path: Path, line: str) -> None:
    text = JINJA.replace("import os_path os.path", line).replace("{% INLINE %}", "x")
    error = error_of(tmp_path, text)
    assert error.context["section"] == "t"
    assert error.context["file"] == f"{tmp_path}/profile.cfg"


def test_imports_once_and_digest(tmp_path: Path) -> None:
    write_profile(tmp_path, "{% macro hello(x) %}hello {{ x }}{% endmacro %}", "lib/greet.jinja2")
    text = """
    [buildout]
    parts = t
    [t]
    recipe = hyperopenx:template.jinja2
    output = ${buildout:directory}/out
    once = ${buildout:directory}/.done
    import-list = rawfolder lib ${:_profile_base_location_}/lib
    inline = {% from "lib/greet.jinja2" import hello %}{{ hello("x") }}
    """
    assert run_profile(tmp_path, text).outcome == "done"
    output = tmp_path / "work" / "out"
    assert output.read_text() == "hello x"
    output.write_text("edited by the user")
    assert run_profile(tmp_path, text).outcome == "done"
    assert output.read_text() == "edited by the user"
    (tmp_path / "t.in").write_text("x")
    wrong = "[buildout]\nparts = t\n[t]\nrecipe = hyperopenx:template\noutput = o\nurl = {}\nsha256 = 00\n"
    assert error_of(tmp_path, wrong.format(tmp_path / "t.in")).reference == "wrong-checksum"


def test_imports_beside_a_profile_read_over_http(tmp_path: Path) -> None:
    text = """[buildout]
parts = t
[t]
recipe = hyperopenx:template.jinja2
output = ${buildout:directory}/out
import-list =
  rawfolder lib ${:_profile_base_location_}/lib
  rawfile one ${:_profile_base_location_}/one.in
url = ${:_profile_base_location_}/t.in
"""
    (tmp_path / "work").mkdir()
    with serving() as web:
        files = {"software.cfg": text, "t.in": '{% include "lib/a" %}{% include "one" %}', "lib/a": "a", "one.in": "1"}
        web.files = {f"/{name}": content.encode() for name, content in files.items()}
        job = Job("build", str(tmp_path / "work"), f"{web.url}/software.cfg", "")
        result = execute(job)
        assert result.outcome == "done", result.sentence
        assert (tmp_path / "work" / "out").read_text() == "a1"
        assert {profile.location for profile in result.profiles} == {f"{web.url}/{name}" for name in files}
        web.files["/lib/a"] = b"\n{{ 1 // 0 }}"
        error = execute(job).error
        assert error is not None and f"the template {web.url}/lib/a, line 2 cannot" in error["message"]
        del web.files["/lib/a"]
        error = execute(job).error
        assert error is not None and error["reference"] == "template-failed"
