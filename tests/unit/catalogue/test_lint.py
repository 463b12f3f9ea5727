"""Each check of the catalogue's linter: what it finds, where, and what it leaves alone."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from slapos.catalogue.lint.catalogue import Catalogue
from slapos.catalogue.lint.run import CHECKS, lint
from slapos.cli import main as entry
from slapos.model.errors import InputError

TOP = Path(__file__).resolve().parents[3]
A, B = "a" * 64, "b" * 64
COMPONENT = f"""# tool: a tool.
# Source:  https://tool.example.org
# Licence: Zlib
[tool]
recipe = hyperopenx:cmmi
version = 1
url = https://tool.example.org/tool-${{:version}}.tar.gz
sha256 = {A}
patches = ${{:_profile_base_location_}}/fix.patch
environment = settings

[settings]
CFLAGS = -O2
"""
SOFTWARE = """[buildout]
extends = ../../component/tool/buildout.cfg
parts = tool page instance

[file]
recipe = hyperopenx:template
url = ${:_profile_base_location_}/${:name}.in
output = ${buildout:directory}/${:name}

[page]
<= file
name = page

[instance]
<= file
name = instance.cfg
"""
INSTANCE = """{#- What a partition does. -#}
[buildout]
parts = service
# $${nobody:knows} is only told here
[paths]
recipe = hyperopenx:mkdirectory
page = ${buildout:directory}/page
{% for number in numbers %}
[service-{{ number }}]
recipe = hyperopenx:wrapper
command-line = ${tool:location}/bin/tool $${paths:page} $${service-1:x} $${slap-connection:server-url}
{% endfor %}
"""
DESCRIPTOR = {
    "name": "Web",
    "serialisation": "json-in-xml",
    "software-type": {"default": {"request": "in-schema.json", "response": "out-schema.json"}},
}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A catalogue without a fault."""
    files = {
        "component/tool/buildout.cfg": COMPONENT,
        "component/tool/fix.patch": "--- a\n+++ a\n",
        "component/tool/test/test_tool.py": "",
        "software/web/software.cfg": SOFTWARE,
        "software/web/page.in": "${tool:location}",
        "software/web/instance.cfg.in": INSTANCE,
        "software/web/README.rst": "",
        "software/web/test/test_web.py": "",
        "software/web/software.cfg.json": json.dumps(DESCRIPTOR),
        "software/web/in-schema.json": '{"type": "object", "required": ["x"]}',
        "software/web/out-schema.json": '{"type": "object"}',
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def found(top: Path) -> list[tuple[str, str, int, str]]:
    return [(one.check, one.path, one.line, one.sentence) for one in lint(Catalogue.at(str(top)))]


def change(top: Path, name: str, old: str, new: str) -> None:
    text = (top / name).read_text()
    assert old in text
    (top / name).write_text(text.replace(old, new))


TOOL, WEB = "component/tool/buildout.cfg", "software/web/software.cfg"
INSIDE = "software/web/instance.cfg.in"

CASES: list[tuple[str, str, str, str, int, str]] = [
    (TOOL, f"sha256 = {A}\n", "", "checksums", 7, "without a sha256"),
    (TOOL, A, "A" * 64, "checksums", 8, "is no sha256"),
    (TOOL, A, "abc", "checksums", 8, "'abc' is no sha256"),
    (TOOL, f"= {A}", f"=\n  {A}\n  {A}", "checksums", 8, "is there twice"),
    (TOOL, "fix.patch\n", "fix.patch\n  https://x.example/other.patch\n", "checksums", 9, "without #sha256"),
    (TOOL, "fix.patch", "gone.patch", "dead-references", 9, "[tool] names gone.patch, which is not there"),
    (TOOL, "version = 1\n", "", "dead-references", 6, "${:version} names an option that [tool] does not have"),
    (TOOL, "version = 1\n", "version = 1\nmake-options = ${opensl:location}\n", "dead-references", 7, "not exist"),
    (TOOL, "version = 1\n", "version = 1\nmake-options = ${settings:CFLAG}\n", "dead-references", 7, "CFLAG"),
    (TOOL, "version = 1\n", "version = 1\nmake-options = ${nonsense}\n", "dead-references", 7, "has no colon"),
    (
        TOOL,
        "version = 1\n",
        "version = 1\nconfigure-option = --x\n",
        "unused-options",
        7,
        "'configure-option' of [tool]",
    ),
    (TOOL, "[settings]", "[setting]", "unused-options", 13, "'CFLAGS' of [setting]"),
    (TOOL, "fix.patch", "", "dead-files", 0, "nothing names this file"),
    (TOOL, "# tool: a", "# took: a", "layout", 1, "'# tool: what it is.'"),
    (TOOL, "# Source:  https", "# Source:  at", "layout", 1, "'# Source: '"),
    (TOOL, "# Licence", "# License", "layout", 1, "'# Licence: '"),
    (TOOL, "[settings]", "nonsense\n[settings]", "profiles", 12, "is neither an option"),
    (WEB, "hyperopenx:template", "hyperopenx:templat", "recipes", 6, "no recipe hyperopenx:templat."),
    (INSIDE, "hyperopenx:wrapper", "hyperopenx:wraper", "recipes", 10, "no recipe hyperopenx:wraper."),
    (INSIDE, "{% endfor %}", "{% endfr %}", "jinja-syntax", 12, "endfr"),
    (INSIDE, "{{ number }}", "{{ number }", "jinja-syntax", 9, "unexpected"),
    (INSIDE, "${tool:location}", "${tol:location}", "template-references", 11, "${tol:location} names a section"),
    (INSIDE, "${tool:location}", "${tool:locatio}", "template-references", 11, "an option that [tool] does not"),
    (INSIDE, "directory}/page", "directory}/pages", "template-references", 7, "web/software.cfg makes pages"),
    (INSIDE, "$${paths:page}", "$${path:page}", "template-references", 11, "$${path:…} names a section"),
    (INSIDE, "$${service-1:x}", "$${servic-1:x}", "template-references", 11, "$${servic-1:…}"),
    (WEB, "component/tool", "component/tol", "profiles", 2, "does not exist"),
    (WEB, "name = page\n", "name = page\nmodes = 644\n", "unused-options", 13, "'modes' of [page]"),
    (f"{WEB}.json", '"in-schema', '"on-schema', "schemas", 0, "on-schema.json"),
    (f"{WEB}.json", '"out-schema', '"ot-schema', "schemas", 0, "ot-schema.json"),
    (f"{WEB}.json", '"serialisation": "json-in-xml", ', "", "schemas", 0, "no serialisation"),
    (f"{WEB}.json", "}", "", "schemas", 0, ""),
    ("software/web/in-schema.json", '"object"', '"objekt"', "schemas", 0, "objekt"),
]


def test_nothing(top: Path) -> None:
    assert found(top) == []


@pytest.mark.parametrize(("file", "old", "new", "check", "line", "words"), CASES)
def test_a_fault(top: Path, file: str, old: str, new: str, check: str, line: int, words: str) -> None:
    change(top, file, old, new)
    assert [(one[0], one[2]) for one in found(top) if one[0] == check and words in one[3]] == [(check, line)], found(
        top
    )


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("component/tool/test/test_tool.py", "no test/test_tool.py"),
        ("software/web/README.rst", "no README.rst"),
        ("software/web/software.cfg.json", "no software.cfg.json"),
    ],
)
def test_a_file_that_is_missing(top: Path, file: str, words: str) -> None:
    (top / file).unlink()
    assert any(one[0] == "layout" and words in one[3] for one in found(top))


def test_the_bytes_of_another_component(top: Path) -> None:
    other = top / "component/other"
    (other / "test").mkdir(parents=True)
    (other / "test/test_other.py").write_text("")
    text = COMPONENT.replace("tool", "other").replace("patches = ${:_profile_base_location_}/fix.patch\n", "")
    (other / "buildout.cfg").write_text(text)
    (one,) = found(top)
    assert one[0] == "checksums"
    assert "was it copied?" in one[3]


def test_large_and_binary_files(top: Path) -> None:
    (top / "component/tool/fix.patch").write_bytes(b"\0" * 300_000)
    (top / "software/web/page.in").write_text("${tool:location}\n" * 401)
    assert [(one[0], one[1].rpartition("/")[2]) for one in found(top)] == [
        ("sizes", "fix.patch"),
        ("sizes", "fix.patch"),
        ("sizes", "page.in"),
    ]


def test_an_item_with_a_strange_name(top: Path) -> None:
    (top / "component/tool").rename(top / "component/To ol")
    assert any("'To ol' is no name of an item" in one[3] for one in found(top))


def test_a_profile_that_is_no_text(top: Path) -> None:
    (top / TOOL).write_bytes(b"[tool]\n\xff\xfe = 1\n")
    assert {one[0] for one in found(top)} >= {"profiles"}


def test_what_is_no_catalogue(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        Catalogue.at(str(tmp_path))
    assert raised.value.reference == "not-a-catalogue"


def test_the_command(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["lint", str(top)]) == 0
    assert "nothing to find fault with" in capsys.readouterr().out
    change(top, TOOL, "fix.patch", "gone.patch")
    assert entry.run(["lint", str(top)]) == 1
    out = capsys.readouterr().out
    assert f"{TOOL}:9: [tool] names gone.patch, which is not there. [dead-references]" in out.splitlines()
    assert entry.run(["lint", str(top), "--format", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert {one["check"] for one in told} == {"dead-files", "dead-references"} <= CHECKS.keys()


def test_our_own_catalogue_within_seconds() -> None:
    begin = time.process_time()
    assert [finding.text for finding in lint(Catalogue.at(str(TOP)))] == []
    assert time.process_time() - begin < 10
