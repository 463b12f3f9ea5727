"""Changes of what is wanted, and how it is seen that they came true."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from slapos.model.objects import Instance
from slapos.model.states import InstanceState
from slapos.node.plan import Kind

HEADER = "X-Round"


@dataclass
class Site:
    """A web site as it is wanted.  ``guid`` of the instance that was ordered; empty: there is none."""

    title: str
    software_type: str = "default"
    parameters: dict[str, Any] = field(default_factory=dict)
    started: bool = True
    guid: str = ""

    @property
    def state(self) -> InstanceState:
        return InstanceState.STARTED if self.started else InstanceState.STOPPED


@dataclass(frozen=True)
class Change:
    """``actions``: kinds that the daemon takes for it, of which one is interrupted."""

    name: str
    actions: tuple[Kind, ...]
    needs: str = "started"  # what the site must be before: started, stopped or absent
    sites: tuple[str, ...] = ("first", "second", "tree")

    @property
    def runs_buildout(self) -> bool:
        return Kind.RUN in self.actions

    def fits(self, site: Site) -> bool:
        """Whether it can be made now."""
        now = "absent" if not site.guid else "started" if site.started else "stopped"
        return site.title in self.sites and now == self.needs

    def make(self, site: Site, number: int) -> None:
        """Change what is wanted; ``number`` makes it something new."""
        _MAKERS[self.name](site, number)

    def touches(self, service: str) -> bool:
        """Whether a process of this service may become another one."""
        if self.name == "restart":
            return service == "repository"
        return self.name in ("stop", "start", "order", "destroy")


CHANGES = (
    Change("reload", (Kind.RUN, Kind.RELOAD, Kind.PROMISES)),
    Change("page", (Kind.RUN, Kind.PROMISES), sites=("first",)),
    Change("tree", (Kind.RUN, Kind.PROMISES), sites=("tree",)),
    Change("restart", (Kind.RUN, Kind.RESTART, Kind.PROMISES), sites=("second",)),
    Change("stop", (Kind.STOP,), sites=("second", "tree")),
    Change("start", (Kind.RUN, Kind.ADD, Kind.PROMISES), needs="stopped", sites=("second", "tree")),
    Change("order", (Kind.PREPARE, Kind.CERTIFY, Kind.RUN, Kind.ADD, Kind.PROMISES), needs="absent", sites=("guest",)),
    Change("destroy", (Kind.STOP, Kind.WIPE, Kind.SCAN, Kind.FORGET), sites=("guest",)),
)


def _reload(site: Site, number: int) -> None:
    site.parameters["headers"] = {HEADER: str(number)}


def _page(site: Site, number: int) -> None:
    site.parameters["pages"] = {"index.html": f"page {number}"}


def _tree(site: Site, number: int) -> None:
    site.parameters["title"] = f"Tree {number}"


def _restart(site: Site, number: int) -> None:
    site.parameters["git"] = {**site.parameters["git"], "interval": 1000 + number}


def _stop(site: Site, number: int) -> None:
    site.started = False


def _start(site: Site, number: int) -> None:
    site.started = True


def _order(site: Site, number: int) -> None:
    site.parameters = {"title": f"Guest {number}"}


def _destroy(site: Site, number: int) -> None:
    """Asking for it is all."""


_MAKERS = {
    "reload": _reload,
    "page": _page,
    "tree": _tree,
    "restart": _restart,
    "stop": _stop,
    "start": _start,
    "order": _order,
    "destroy": _destroy,
}


@dataclass(frozen=True)
class Page:
    """``header`` is the one that changes of the kind reload set."""

    text: str
    header: str


def fetch(instance: Instance, ca_file: str) -> Page:
    """The first page, the server's certificate verified; :class:`OSError` when it is not served."""
    published: Mapping[str, str] = json.loads(instance.connection.get("_", "{}"))
    if "url" not in published:
        raise OSError("no url is published")
    parts = urlsplit(published["url"])
    context = ssl.create_default_context(cafile=ca_file)
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=context, timeout=5)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise OSError(f"status {answer.status}")
        return Page(text, answer.headers.get(HEADER, ""))
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def shows(page: Page, site: Site) -> bool:
    """Whether a page is the one that is wanted."""
    parameters = site.parameters
    wanted = parameters.get("headers", {}).get(HEADER, "")
    pages = parameters.get("pages", {})
    content = pages.get("index.html") or ("from git" if "git" in parameters else f"<h1>{parameters['title']}</h1>")
    return page.header == wanted and content in page.text
