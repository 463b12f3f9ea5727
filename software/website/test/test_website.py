"""The life of real instances: the release is compiled, ordered from a real master, and run by a real node."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from slapos.model.objects import Instance
from slapos.model.states import Health, InstanceState
from slapos.system.processes import Launch, run
from slapos.system.users import find_identity
from slapos.testing.cloud import Cloud
from slapos.testing.waiting import wait_for

HEADERS = {
    "X-Dollar": "$host ${host} $$ $",
    "X-Quotes": 'a"b\'c"; } http { evil;',
    "X-Backslash": 'a\\b\\\\ \\" \\n \\',
    "X-Words": "default ranges delete include /etc/passwd",
    "X-Template": "{{ title }} ${buildout:directory} %(x)s #",
    "X-Long": '\\"' * 500,
}

pytestmark = [pytest.mark.build, pytest.mark.timeout(3600)]


def published(instance: Instance) -> dict[str, str]:
    found: dict[str, str] = json.loads(instance.connection["_"])
    return found


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    text: str


def answer(cloud: Cloud, instance: Instance, path: str = "/") -> Answer:
    """The answer, its certificate verified with the CA of the master only."""
    parts = urlsplit(published(instance)["url"])
    context = ssl.create_default_context(cafile=cloud.master.ca_file)
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=context, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    result = Answer(response.status, response.headers, response.read().decode())
    connection.close()
    return result


def text(cloud: Cloud, instance: Instance, path: str = "/") -> str:
    found = answer(cloud, instance, path)
    return found.text if found.status == 200 else f"status {found.status}"


def nginx_pid(cloud: Cloud, instance: Instance) -> int:
    directory = cloud.node.config.partition_directory(instance.partition)
    return int(Path(directory, "var/run/nginx.pid").read_text())


def test_title_is_served_and_never_markup(cloud: Cloud) -> None:
    title = "<script>${buildout:directory} {{ x }} %(x)s \"'&</script> 🎉"
    instance = cloud.order("site", {"title": title})
    page = text(cloud, instance)
    assert "&lt;script&gt;${buildout:directory} {{ x }} %(x)s &#34;&#39;&amp;&lt;/script&gt; 🎉" in page
    assert published(instance)["title"] == title
    assert {promise.name for promise in instance.promises if not promise.ok} == set()
    assert len(instance.promises) >= 3


def test_pages_change_without_touching_nginx(cloud: Cloud) -> None:
    pid = nginx_pid(cloud, cloud.wait("site"))
    instance = cloud.order("site", {"pages": {"index.html": "first ${x}", "docs/index.html": "docs"}})
    wait_for(lambda: text(cloud, instance), 10, "the page", until=lambda found: found == "first ${x}")
    assert text(cloud, instance, "/docs/") == "docs"
    assert (answer(cloud, instance, "/docs").status, text(cloud, instance, "/nothing")) == (301, "status 404")
    assert nginx_pid(cloud, instance) == pid


def test_headers_arrive_exactly_and_nginx_keeps_its_process(cloud: Cloud) -> None:
    pid = nginx_pid(cloud, cloud.wait("site"))
    instance = cloud.order("site", {"headers": HEADERS})
    wait_for(lambda: answer(cloud, instance).headers["X-Dollar"], 10, "the new configuration is used")
    found = answer(cloud, instance)
    assert {name: found.headers[name] for name in HEADERS} == HEADERS
    assert answer(cloud, instance, "/nothing").headers["X-Quotes"] == HEADERS["X-Quotes"]
    assert nginx_pid(cloud, instance) == pid


def test_refused_configuration_leaves_nginx_as_it_is(cloud: Cloud) -> None:
    pid = nginx_pid(cloud, cloud.wait("site"))
    assert cloud.kept is not None
    types = cloud.kept.part("nginx") / "etc/mime.types"
    whole, mode = types.read_text(), types.stat().st_mode
    types.chmod(0o644)
    types.write_text(whole + "\nbroken {\n")
    try:
        cloud.ask("site", {"headers": {"X-New": "1"}})
        found = wait_for(
            lambda: cloud.client.instance(title="site"),
            60,
            "the refusal is told",
            until=lambda item: item.health is Health.ERROR and "refused" in item.sentence,
        )
        assert "nginx" in found.sentence
        assert (nginx_pid(cloud, found), answer(cloud, found).status) == (pid, 200)
        assert answer(cloud, found).headers["X-New"] is None
    finally:
        types.write_text(whole)
        types.chmod(mode)
    instance = cloud.order("site", {"headers": {"X-New": "2"}})
    wait_for(
        lambda: answer(cloud, instance).headers["X-New"], 10, "the mended configuration", until=lambda is_: is_ == "2"
    )
    assert nginx_pid(cloud, instance) == pid


def test_log_rotates_as_the_user_of_the_partition(cloud: Cloud) -> None:
    instance = cloud.wait("site")
    config = cloud.node.config
    directory = Path(config.partition_directory(instance.partition))
    user = config.partition_user(instance.partition)
    text(cloud, instance, "/before")
    launch = Launch(directory=str(directory), user=find_identity(user) if user else None)
    done = run([str(directory / "bin/logrotate"), "-f"], launch=launch)
    assert (done.code, done.text) == (0, "")
    log = directory / "var/log"
    wait_for((log / "access.log").exists, 10, "nginx opened a new log")
    text(cloud, instance, "/after")
    wait_for(lambda: "/after" in (log / "access.log").read_text(), 10, "nginx writes into the new log")
    assert "/before" not in (log / "access.log").read_text()
    assert [path.suffix for path in log.glob("access.log-*")] == [".gz"]


def test_repository_is_followed(cloud: Cloud, server: Any) -> None:
    server.commit({"index.html": b"from git", "both.html": b"git", "sub/index.html": b"sub"}, {"leak": b"/etc/passwd"})
    git = {"url": server.url, "interval": 30}
    instance = cloud.order("site", {"git": git, "pages": {"both.html": "parameter"}})
    wait_for(lambda: text(cloud, instance), 30, "the repository is served", until=lambda found: found == "from git")
    assert text(cloud, instance, "/both.html") == "parameter"
    assert text(cloud, instance, "/sub/") == "sub"
    assert (answer(cloud, instance, "/sub").status, answer(cloud, instance, "/leak").status) == (301, 404)
    server.commit({"index.html": b"changed"})
    wait_for(lambda: text(cloud, instance), 60, "the change is served", until=lambda found: found == "changed")


def test_killed_nginx_comes_back(cloud: Cloud) -> None:
    instance = cloud.wait("site")
    pid = nginx_pid(cloud, instance)
    os.kill(pid, signal.SIGKILL)

    def serves_again() -> bool:
        try:
            return nginx_pid(cloud, instance) != pid and answer(cloud, instance).status == 200
        except (OSError, ValueError):
            return False

    wait_for(serves_again, 30, "another nginx serves")


def test_stopped_and_started(cloud: Cloud) -> None:
    instance = cloud.order("site", {"title": "Again"}, state=InstanceState.STOPPED)
    with pytest.raises(OSError):
        answer(cloud, instance)
    instance = cloud.order("site", {"title": "Again"}, state=InstanceState.STARTED)
    assert "<h1>Again</h1>" in text(cloud, instance)


def test_mirror_is_a_tree_and_serves_its_origin(cloud: Cloud) -> None:
    cloud.ask("two", {"title": "Tree", "headers": {"X-Mirror": "yes"}}, software_type="mirror")
    mirror = cloud.wait("two")
    tree = cloud.tree("two")
    assert [child.instance.title for child in tree.children] == ["origin"]
    origin = tree.children[0].instance
    assert origin.health is Health.OK
    assert published(origin)["url"] != published(mirror)["url"]
    assert "<h1>Tree</h1>" in text(cloud, mirror)
    assert answer(cloud, mirror).headers["X-Mirror"] == "yes"
    assert answer(cloud, origin).headers["X-Mirror"] is None


def test_destroyed_leaves_nothing(cloud: Cloud) -> None:
    instance = cloud.wait("site")
    directory = cloud.node.config.partition_directory(instance.partition)
    cloud.ask("two", software_type="mirror", state=InstanceState.DESTROYED)
    cloud.ask("site", state=InstanceState.DESTROYED)
    wait_for(lambda: os.listdir(directory) == [".slapos-resource"], 60, "the partition is empty")
    wait_for(lambda: cloud.client.node(cloud.node.reference).busy == 0, 60, "all partitions are free again")
