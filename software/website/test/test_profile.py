"""The profiles of the release through the real engine: what a partition gets, without compiling anything."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slapos.build.describing import read_graph
from slapos.build.fetch.profiles import ProfileReader
from slapos.build.graph import Graph
from slapos.build.profile.buildout import Buildout
from slapos.build.profile.install import Report, install
from slapos.build.profile.names import RecipeTable
from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.model.objects import Address
from slapos.model.states import PrincipalKind
from slapos.pki.authority import Authority
from slapos.pki.policy import Allowed, decide
from slapos.pki.requests import read_csr
from slapos.slap.documents import instance_to_data
from tests.unit.cookbook.engine import Master, connection_section, instance, serving_master, write_document

RELEASE = Path(__file__).resolve().parent.parent
IPV4, IPV6 = Address("lo", "127.0.0.1"), Address("lo", "::1")
HOSTILE = "<b>${buildout:directory} {{ dumps }} %(x)s $host \"'; } \\ # \n[section]\nrecipe = evil\n\ttab 🎉 </b>"


class Built(Recipe):
    """Stands in for a compiled part: only its place matters to the files of the release."""

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        return Description({"location": f"/built/{name}"})

    def install(self) -> list[str]:
        return []


@pytest.fixture(name="graph", scope="module")
def fixture_graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    directory = str(tmp_path_factory.mktemp("plan"))
    return read_graph(profile=str(RELEASE / "software.cfg"), directory=directory, read=ProfileReader(offline=True))


@pytest.fixture(name="built", scope="module")
def fixture_built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the release."""
    directory = tmp_path_factory.mktemp("release with a space")
    profile = Buildout(
        profile=str(RELEASE / "software.cfg"),
        directory=str(directory),
        read=ProfileReader(offline=True),
        recipes=RecipeTable(extra={"hyperopenx:cmmi": Built}),
    )
    report = install(profile)
    assert report.outcome == "done", report.sentence
    return directory


@dataclass
class Site:
    """A partition of the release, and the master that it talks to."""

    release: Path
    directory: Path
    master: Master

    def run(self, parameters: Any, kind: str = "default", addresses: tuple[Address, ...] = (IPV4, IPV6)) -> Report:
        document = write_document(
            self.directory / "document.json",
            parameters={"_": json.dumps(parameters)},
            software_type=kind,
            addresses=addresses,
            title="A <site>",
        )
        profile = Buildout(
            profile=str(self.release / "instance.cfg"),
            directory=str(self.directory),
            read=ProfileReader(offline=True),
            overrides={"slap-connection": connection_section(document, self.master.url)},
        )
        return install(profile)

    def done(self, *arguments: Any, **options: Any) -> Report:
        report = self.run(*arguments, **options)
        if report.first_error is not None:
            raise report.first_error
        return report

    def read(self, path: str) -> str:
        return (self.directory / path).read_text(encoding="utf-8")

    def files(self) -> dict[str, tuple[bytes, int]]:
        """Content and inode of what the profile wrote."""
        found = [path for path in self.directory.rglob("*") if path.is_file() and ".installed" not in path.name]
        return {str(path.relative_to(self.directory)): (path.read_bytes(), path.stat().st_ino) for path in found}

    @property
    def published(self) -> Any:
        messages = self.master.messages("hyperopenx.put.v0.connection")
        return json.loads(messages[-1]["connection"]["_"]) if messages else None


@pytest.fixture(name="site")
def fixture_site(built: Path, tmp_path: Path) -> Iterator[Site]:
    authority = Authority(str(tmp_path / "ca"))
    authority.create(time.time())

    def sign(message: dict[str, Any]) -> dict[str, str]:
        allowed = Allowed((IPV4.ip, IPV6.ip))
        grant = decide(read_csr(message["csr"]), PrincipalKind.SERVICE, message["instance_guid"], allowed)
        return {"certificate": authority.sign(message["csr"], grant, time.time()), "ca": authority.ca_pem}

    directory = tmp_path / "slappart 0"
    directory.mkdir()
    with serving_master() as master:
        master.answers |= {
            "hyperopenx.post.v0.certificate": sign,
            "hyperopenx.put.v0.connection": {"generation": 1},
        }
        yield Site(built, directory, master)


def child(**changes: Any) -> dict[str, Any]:
    return dict(instance_to_data(instance(guid="SOFTINST-8", title="origin", **changes)))


def test_every_part_can_be_described(graph: Graph) -> None:
    assert [(part.name, part.problem) for part in graph.parts if part.problem or part.opaque] == []


def test_every_source_is_pinned_and_has_a_mirror(graph: Graph) -> None:
    sources = [source for part in graph.parts for source in part.sources]
    assert len(sources) == 6
    for source in sources:
        assert source.url.startswith(("https://", "http://ftp.rpm.org/")), source.url
        assert all(len(digest) == 64 for digest in source.sha256)
        assert any(mirror.startswith("debian:") for mirror in source.mirrors), source.url


def test_release_has_what_partitions_read(built: Path) -> None:
    names = {path.name for path in RELEASE.glob("*.json")} | {"instance.cfg", "repository.py"}
    assert names <= set(os.listdir(built))
    for path in built.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444, path
    for name in sorted(names - {"instance.cfg"}):
        assert (built / name).read_bytes() == (RELEASE / name).read_bytes(), name


def test_default_site(site: Site) -> None:
    site.done({})
    assert "<h1>A &lt;site&gt;</h1>" in site.read("srv/start/index.html")
    assert os.access(site.directory / "etc/service/nginx", os.X_OK)
    assert sorted(os.listdir(site.directory / "etc/service")) == ["crond", "nginx"]
    plugins = ["access-log-rotates", "certificate-does-not-expire-soon", "url-ipv4-answers", "url-ipv6-answers"]
    assert sorted(os.listdir(site.directory / "etc/plugin")) == [f"{name}.py" for name in plugins]
    assert site.published["title"] == "A <site>"
    assert site.published["url"].startswith("https://[::1]:")
    assert site.published["url-ipv4"].startswith("https://127.0.0.1:")
    facts = json.loads(site.read(".hyperopenx/services/nginx.json"))
    assert facts["reload_signal"] == "HUP" and facts["check_command"][1] == "-t"


@pytest.mark.parametrize("address", [IPV4, IPV6], ids=["ipv4", "ipv6"])
def test_one_family_is_enough(site: Site, address: Address) -> None:
    site.done({}, addresses=(address,))
    assert sorted(site.published) == ["title", "url"]
    assert site.read("etc/nginx.conf").count("listen ") == 1


def test_second_run_changes_nothing(site: Site) -> None:
    parameters = {"title": HOSTILE.replace("\n", " ").replace("\t", " "), "pages": {"a.html": HOSTILE}}
    site.done(parameters)
    before = site.files()
    report = site.done(parameters)
    assert {part.outcome for part in report.parts} == {"kept"}
    assert site.files() == before


def test_hostile_values_are_data(site: Site) -> None:
    title = HOSTILE.replace("\n", " ").replace("\t", " ")
    pages = {"index.html": HOSTILE, "docs/b.txt": "", "c.txt": "x" * 1_000_000, "d.sh": "#!/bin/sh\nexit 1\n"}
    site.done({"title": title, "pages": pages, "headers": {"X-A": '$host "; } \\'}})
    for path, content in pages.items():
        assert site.read(f"srv/pages/{path}") == content
        assert not os.access(site.directory / "srv/pages" / path, os.X_OK) or os.getuid() == 0
    assert site.published["title"] == title
    start = site.read("srv/start/index.html")
    assert "<b>" not in start and "&lt;b&gt;${buildout:directory} {{ dumps }}" in start
    assert 'default "$host \\"; } \\\\";' in site.read("etc/nginx.conf")


def test_removed_page_goes(site: Site) -> None:
    site.done({"pages": {"a.html": "a", "b.html": "b", "c.html": "c"}})
    site.done({"pages": {"b.html": "b", "c.html": "new"}})
    assert sorted(os.listdir(site.directory / "srv/pages")) == ["b.html", "c.html"]
    assert site.read("srv/pages/c.html") == "new"


def test_page_where_a_directory_must_be(site: Site) -> None:
    report = site.run({"pages": {"a": "x", "a/b": "y"}})
    assert report.outcome == "failed"
    assert "pages: a cannot be a page and the directory of a/b" in report.sentence


def test_invalid_parameters_fail_with_the_field(site: Site) -> None:
    report = site.run({"headers": {"X-A": "a\r\nb"}})
    assert report.outcome == "failed"
    assert "X-A" in report.sentence


def test_reload_and_restart_facts(site: Site) -> None:
    def facts() -> dict[str, Any]:
        return dict(json.loads(site.read(".hyperopenx/services/nginx.json")))

    site.done({})
    first = facts()
    site.done({"pages": {"a.html": "a"}, "title": "other"})
    assert facts() == first  # nginx reads files by itself
    site.done({"headers": {"X-A": "1"}})
    assert facts()["restart"] == first["restart"]
    assert facts()["reload"] != first["reload"]


def test_log_retention(site: Site) -> None:
    site.done({"log_retention_days": 7})
    entry = site.read("etc/logrotate.d/nginx")
    assert "rotate 7\n" in entry and "kill -USR1" in entry


def test_repository(site: Site) -> None:
    git = {"url": "https://git.example.org/a?b=1&c='", "branch": "main"}
    site.done({"git": git})
    settings = json.loads(site.read("etc/repository.json"))
    assert settings == {
        **git,
        "interval": 300,
        "directory": str(site.directory / "srv/repository"),
        "status": str(site.directory / "var/repository.json"),
    }
    assert "repository" in os.listdir(site.directory / "etc/service")
    assert os.listdir(site.directory / "etc/promise") == ["repository-is-fetched"]
    assert "@repository" in site.read("etc/nginx.conf")
    site.done({})
    assert "repository" not in os.listdir(site.directory / "etc/service")
    assert "@repository" not in site.read("etc/nginx.conf")


def test_mirror_waits_for_its_origin(site: Site) -> None:
    site.master.answers["hyperopenx.post.v0.instance"] = child()
    report = site.run({"title": "T", "pages": {"a.html": HOSTILE}, "origin_sla": {"spread": "x"}}, kind="mirror")
    assert report.outcome == "waiting"
    assert "origin" in report.sentence and "url" in report.sentence
    asked = site.master.messages("hyperopenx.post.v0.instance")[-1]
    assert (asked["title"], asked["software_type"], asked["sla"]) == ("origin", "default", {"spread": "x"})
    wanted = {"title": "T", "pages": {"a.html": HOSTILE}, "log_retention_days": 30}
    assert json.loads(asked["parameters"]["_"]) == wanted
    assert not (site.directory / "etc/service").exists() or "nginx" not in os.listdir(site.directory / "etc/service")
    assert not any("url" in name for name in os.listdir(site.directory / "etc/plugin"))
    assert site.published is None


def test_mirror_of_a_published_origin(site: Site) -> None:
    origin = {"_": json.dumps({"url": "https://[fd00::1]:8443/", "title": "T"})}
    site.master.answers["hyperopenx.post.v0.instance"] = child(connection=origin)
    site.done({"title": "T"}, kind="mirror")
    text = site.read("etc/nginx.conf")
    assert "proxy_pass https://[fd00::1]:8443;" in text
    assert 'proxy_ssl_name "SOFTINST-8";' in text
    assert site.published["title"] == "T"


@pytest.mark.parametrize("url", ["https://a.example.org/", "http://[fd00::1]:1/", "https://[::1]:1/;x", "x\n", 7])
def test_mirror_refuses_what_is_no_address(site: Site, url: Any) -> None:
    site.master.answers["hyperopenx.post.v0.instance"] = child(connection={"_": json.dumps({"url": url})})
    report = site.run({}, kind="mirror")
    assert report.outcome == "failed"
    assert "published no URL of the form" in report.sentence
