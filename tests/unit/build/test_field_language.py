"""The rows of docs/reference/profile-language.rst, one test each, by name."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapos.build.fetch.profiles import ProfileReader
from slapos.build.profile.buildout import Buildout
from slapos.build.profile.install import install
from slapos.build.profile.names import RecipeTable
from slapos.build.profile.nested import run_nested
from slapos.build.recipe import Recipe
from slapos.build.values import dumps
from slapos.model.errors import HyperopenxError, ProfileError, Unavailable
from tests.unit.build.profiles import TABLE, Give, Write, make_buildout, outcomes, run_profile, write_profile
from tests.unit.build.test_foreign import make_wheel, wheels
from tests.unit.build.web import Web, serving

__all__ = ["wheels"]

PAGE = Path(__file__).parents[3] / "docs/reference/profile-language.rst"


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as running:
        yield running


def read(directory: Path, text: str, name: str = "a") -> dict[str, object]:
    return dict(make_buildout(directory, text)[name])


def refused(directory: Path, text: str) -> HyperopenxError:
    with pytest.raises(HyperopenxError) as caught:
        make_buildout(directory, text)["a"]
    return caught.value


def test_every_row_has_its_test() -> None:
    rows = re.findall(r"^   \* - ``([a-z-]+)``$", PAGE.read_text(), re.MULTILINE)
    named = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    assert len(rows) == len(set(rows)) > 20
    assert set(rows) == named - {"every-row-has-its-test"}


def test_base_location(tmp_path: Path, web: Web) -> None:
    web.files["/p/base.cfg"] = b"[b]\nurl = ${:_profile_base_location_}/t\n[c]\nx = ${b:_profile_base_location_}\n"
    text = f"[buildout]\nextends = {web.url}/p/base.cfg\n[a]\nown = ${{:_profile_base_location_}}/t\n[d]\n<= b\n"
    buildout = make_buildout(tmp_path, text)
    assert buildout["a"]["own"] == f"{tmp_path}/t"
    assert buildout["b"]["url"] == f"{web.url}/p/t"
    assert buildout["c"]["x"] == f"{web.url}/p"
    assert buildout["d"]["url"] == f"{tmp_path}/t"


def test_section_name(tmp_path: Path) -> None:
    text = "[base]\nx = ${:_buildout_section_name_}\n[a]\n<= base\ny = ${base:_buildout_section_name_}\n"
    assert read(tmp_path, text) == {"x": "a", "y": "base"}


def test_python_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"list": [1, True, None, "x"], "dict": {"a": {"b": 1.5}}, "set": {"z", "y"}, "tuple": (1, 2)}
    monkeypatch.setattr(Give, "values", values)
    text = "[g]\nrecipe = test:give\n[a]\n" + "".join(f"{name} = ${{g:{name}}}\n" for name in values)
    assert read(tmp_path, text) == {**values, "set": ["y", "z"], "tuple": [1, 2]}


def test_dumps(tmp_path: Path) -> None:
    value = {"text": "${a:b} $${c} %(d)s\n[e]", "list": [1, None, {"x": "é🙂"}]}
    assert read(tmp_path, f"[a]\nx = {dumps(value)}\ny = ${{:x}}\n")["y"] == value


def test_dollar(tmp_path: Path) -> None:
    text = "[a]\nx = $${buildout:directory} $$ $$x $${:y}\ny = <${:x}>\n"
    assert read(tmp_path, text) == {"x": (x := "${buildout:directory} $$ $$x ${:y}"), "y": f"<{x}>"}


def test_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Give, "values", {"x": "${buildout:directory}"})
    text = "[g]\nrecipe = test:give\n[b]\nx = ${g:x}\n[a]\nx = echo ${b:x}\n"
    assert read(tmp_path, text)["x"] == "echo ${buildout:directory}"


def test_extends_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write_profile(tmp_path, "[buildout]\nextends = ../c.cfg\n[a]\nx = b\ny = b\n", "sub/b.cfg")
    write_profile(tmp_path, "[a]\nx = c\nz = c\n", "c.cfg")
    write_profile(tmp_path, "[a]\nhome = yes\n", "home/d.cfg")
    found = read(tmp_path, "[buildout]\nextends =\n  sub/b.cfg\n  ~/d.cfg\n[a]\ny = own\n")
    assert found == {"x": "b", "y": "own", "z": "c", "home": "yes"}


def test_extends_url(tmp_path: Path, web: Web) -> None:
    web.files |= {"/s/a.cfg": b"[buildout]\nextends = ../c/b.cfg\n[a]\nx = 1\n", "/c/b.cfg": b"[a]\ny = 2\n"}
    assert read(tmp_path, f"[buildout]\nextends = {web.url}/s/a.cfg\n") == {"x": "1", "y": "2"}


def test_optional_extends(tmp_path: Path) -> None:
    write_profile(tmp_path, "[a]\nx = there\n", "there.cfg")
    assert read(tmp_path, "[buildout]\noptional-extends = there.cfg absent.cfg\n") == {"x": "there"}


def with_cache(tmp_path: Path, url: str, more: str = "") -> Buildout:
    text = f"[buildout]\nextends-cache = cache\n{more}extends = {url}\n"
    (tmp_path / "work").mkdir(exist_ok=True)
    profile = write_profile(tmp_path, text)
    return Buildout(profile=profile, directory=str(tmp_path / "work"), read=ProfileReader())


def test_extends_cache(tmp_path: Path) -> None:
    with serving() as web:
        url = f"{web.url}/a.cfg"
        web.files["/a.cfg"] = b"[a]\nx = 1\n"
        assert with_cache(tmp_path, url)["a"]["x"] == "1"
        web.files["/a.cfg"] = b"[a]\nx = 2\n"
        assert with_cache(tmp_path, url)["a"]["x"] == "2", "the server is asked each time"
    kept = tmp_path / "work" / "cache" / hashlib.md5(url.encode()).hexdigest()
    assert kept.read_text() == "[a]\nx = 2\n"
    assert with_cache(tmp_path, url)["a"]["x"] == "2", "nobody serves it any more"
    kept.unlink()
    with pytest.raises(Unavailable):
        with_cache(tmp_path, url)


def test_extends_offline(tmp_path: Path, web: Web) -> None:
    web.files["/a.cfg"] = b"[a]\nx = 1\n"
    with pytest.raises(Unavailable, match="this run is offline"):
        with_cache(tmp_path, f"{web.url}/a.cfg", "offline = true\n")
    with_cache(tmp_path, f"{web.url}/a.cfg")
    web.files["/a.cfg"] = b"[a]\nx = 2\n"
    before = len(web.requests)
    assert with_cache(tmp_path, f"{web.url}/a.cfg", "offline = true\n")["a"]["x"] == "1"
    assert len(web.requests) == before


def test_extends_checksum(tmp_path: Path, web: Web) -> None:
    data = b"[a]\nx = 1\n"
    web.files["/b.cfg"] = data
    write_profile(tmp_path, data.decode(), "b.cfg")
    md5, sha256 = hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest()
    for mark in (f"md5={md5}", f"md5sum={md5.upper()}", md5, f"sha256={sha256}", sha256):
        for place in ("b.cfg", f"{web.url}/b.cfg"):
            assert read(tmp_path, f"[buildout]\nextends = {place}#{mark}\n") == {"x": "1"}
    error = refused(tmp_path, f"[buildout]\nparts =\nextends = {web.url}/b.cfg#sha256={'0' * 64}\n")
    assert (error.reference, error.context["line"]) == ("wrong-checksum", 3)
    assert f"has the sha256 {sha256}, not 0000" in error.message
    for mark in ("md5=1234", "nonsense=" + md5, "x", "sha256=" + "z" * 64):
        assert refused(tmp_path, f"[buildout]\nextends = b.cfg#{mark}\n").reference == "invalid-checksum"


def test_macro(tmp_path: Path) -> None:
    text = "[x]\na = 1\nb = ${:c}\n[y]\n<= x\na = 2\n[z]\nd = 4\n[a]\n<=\n  y\n  z\nc = own\n"
    assert read(tmp_path, text) == {"a": "2", "b": "own", "c": "own", "d": "4"}
    error = refused(tmp_path, "[a]\n<= b\n[b]\n<= a\n")
    assert (error.reference, error.context["line"]) == ("cycle", 2)


def test_add_subtract(tmp_path: Path) -> None:
    write_profile(tmp_path, "[a]\nx =\n  1\n  2\n[m]\ny = 1\n", "b.cfg")
    text = "[buildout]\nextends = b.cfg\n[a]\n<= m\nx += 3\nx -= 1\ny += 2\nz += only\n"
    assert read(tmp_path, text) == {"x": "2\n3", "y": "1\n2", "z": "only"}


def test_conditional(tmp_path: Path) -> None:
    text = """
    [a]
    always = yes
    [a:python3]
    three = yes
    [a:python2]
    two = yes
    [a:linux]
    linux = yes
    [a:windows or macosx]
    other = yes
    [a : sys.version_info >= (3, 11) and re.match('a', 'abc')]  # a comment
    expression = yes
    """.replace("\n    ", "\n")
    assert set(read(tmp_path, text)) == {"always", "three", "linux", "expression"}
    error = refused(tmp_path, "[a]\n[a:nonsense(]\nx = 1\n")
    assert (type(error), error.context["line"]) == (ProfileError, 2)


def test_part_dependencies(tmp_path: Path) -> None:
    text = "[buildout]\nparts = a\n[a]\n=> b\nrecipe = test:write\n[b]\n<part-dependencies> = c\nrecipe = test:write\n"
    assert list(outcomes(run_profile(tmp_path, text + "[c]\nrecipe = test:write\n"))) == ["c", "b", "a"]


FOREIGN = "[buildout]\nfind-links = {}\nparts = a\n{}\n[a]\nrecipe = field.thing\n"


def version_used(tmp_path: Path, text: str) -> object:
    buildout = make_buildout(tmp_path, text, recipes=RecipeTable(TABLE))
    try:
        return buildout["a"]["version"]
    finally:
        buildout.close()


def test_versions(tmp_path: Path, wheels: Path) -> None:
    for version in ("1.5", "2.0"):
        make_wheel(wheels, version)
    text = FOREIGN.format(wheels, "{}") + "[{}]\nfield.thing = {}\n"
    assert version_used(tmp_path, text.format("", "versions", "1.0:whl")) == "1.0"
    assert version_used(tmp_path, text.format("versions = pins", "pins", ">1,<2")) == "1.5"
    assert version_used(tmp_path, text.format("", "unused", "1.0")) == "1.5", "what is there is good enough"


def test_index(tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    wheel = wheels / "field_thing-1.0-py3-none-any.whl"
    page = tmp_path / "simple" / "field-thing" / "index.html"
    page.parent.mkdir(parents=True)
    text = f"[buildout]\nindex = file://{tmp_path}/simple\n[a]\nrecipe = field.thing\n"
    page.write_text("nothing yet")
    with pytest.raises(Unavailable, match="pip cannot bring"):
        version_used(tmp_path, text)
    page.write_text(f'<a href="file://{wheel}">{wheel.name}</a>')
    assert version_used(tmp_path, text) == "1.0"


def test_allow_picked_versions(tmp_path: Path, wheels: Path) -> None:
    make_wheel(wheels, name="other.thing")
    code = "import zc.buildout.easy_install as e; e.install(['other.thing'], {!r}, newest=False)"
    text = FOREIGN.format(wheels, "allow-picked-versions = {}")
    text += f"init = {code.format(str(tmp_path / 'work' / 'eggs'))}\n"
    report = run_profile(tmp_path, text.format("false"), recipes=RecipeTable(TABLE))
    assert "Picked: other.thing = 1.0" in report.sentence
    assert report.errors[0].reference == "recipe-refused"
    pinned = text.format("false") + "[versions]\nother.thing = 1.0\n"
    assert run_profile(tmp_path, pinned, recipes=RecipeTable(TABLE)).outcome == "done"


def test_shared_part_list(tmp_path: Path) -> None:
    nested = write_profile(tmp_path, "[buildout]\nparts = x\n[x]\nrecipe = test:write\n", "nested.cfg")
    text = "[buildout]\nshared-part-list =\n  /first\n  /last\nbuild-time-part-list = /b\n[a]\n"
    buildout = make_buildout(tmp_path, text + "lists = ${buildout:shared-part-list}\n")
    assert str(buildout["a"]["lists"]).split() == ["/first", "/last"]
    seen: list[object] = []

    class Look(Write):
        def install(self) -> list[str]:
            main = self.buildout["buildout"]
            seen.extend([main["shared-part-list"], main["build-time-part-list"]])
            return []

    buildout.recipes.extra["test:write"] = Look
    run_nested(buildout, "switch", nested)
    assert seen == ["/first\n/last", "/b"]


def test_build_time_part_list(tmp_path: Path) -> None:
    text = "[buildout]\nbuild-time-part-list =\n  /x\n[a]\nlists = ${buildout:build-time-part-list}\n"
    assert read(tmp_path, text) == {"lists": "/x"}


def test_networkcache_section(tmp_path: Path) -> None:
    text = """
    [buildout]
    networkcache-section = networkcache
    [networkcache]
    download-cache-url = https://cache.example.org/shacache
    signature-certificate-list =
      -----BEGIN CERTIFICATE-----
      MIIB
      -----END CERTIFICATE-----
    [a]
    url = ${networkcache:download-cache-url}
    """.replace("\n    ", "\n")
    assert read(tmp_path, text) == {"url": "https://cache.example.org/shacache"}
    certificates = str(read(tmp_path, text, "networkcache")["signature-certificate-list"])
    assert certificates.split("\n")[1:-1] == ["MIIB"]


def test_extensions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert read(tmp_path, "[buildout]\nextensions = slapos.rebootstrap other\n[a]\nx = 1\n") == {"x": "1"}
    assert "Extensions of buildout are not loaded: slapos.rebootstrap, other." in caplog.text


class Adding(Recipe):
    def setup(self) -> None:
        self.buildout.parse("[parsed]\nrecipe = test:write\ntext = ${buildout:directory}\n")  # type: ignore[attr-defined]
        self.buildout["given"] = {"recipe": "test:write", "text": "${not:evaluated}"}  # type: ignore[index]

    def install(self) -> list[str]:
        return []


def test_parse(tmp_path: Path) -> None:
    table = RecipeTable({**TABLE, "test:adding": Adding})
    text = "[buildout]\nparts = a\n[a]\nrecipe = test:adding\nuses = ${:_buildout_section_name_}\n"
    buildout = make_buildout(tmp_path, text + "[b]\nx = ${parsed:path}\n", recipes=table)
    report = install(buildout)
    assert outcomes(report)["given"] == "installed"
    assert (tmp_path / "work" / "given").read_text() == "${not:evaluated}"
    assert buildout["parsed"]["text"] == str(tmp_path / "work")


def test_state(tmp_path: Path) -> None:
    text = "[buildout]\nparts = a\n[a]\nrecipe = test:write\n"
    run_profile(tmp_path, text)
    state = tmp_path / "work" / ".installed.cfg"
    assert json.loads(state.read_text())["parts"]["a"]["whole"] is True
    assert state.stat().st_mode & 0o777 == 0o600
    state.write_text("[buildout]\ninstalled_develop_eggs = \n")
    assert outcomes(run_profile(tmp_path, text)) == {"a": "installed"}


def test_dependents(tmp_path: Path) -> None:
    text = "[buildout]\nparts = a b\n[b]\nrecipe = test:write\ntext = {}\n[a]\nrecipe = test:write\ntext = ${{b:{}}}\n"
    run_profile(tmp_path, text.format("1", "text"))
    assert outcomes(run_profile(tmp_path, text.format("2", "text"))) == {"b": "installed", "a": "installed"}
    run_profile(tmp_path, text.format("2", "path"))
    assert outcomes(run_profile(tmp_path, text.format("3", "path"))) == {"b": "installed", "a": "kept"}


assert sys.version_info[0] == 3  # what [a:python3] is about
