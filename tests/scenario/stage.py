"""The site that is tortured: a master, a node, sites on it, and what must always hold of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from slapos.model.errors import HyperopenxError
from slapos.model.objects import Instance
from slapos.model.states import Health, InstanceState
from slapos.node import layout
from slapos.slap.client import Tree
from slapos.testing.builds import keep_build
from slapos.testing.cloud import Cloud
from slapos.testing.daemonlog import DaemonLog
from slapos.testing.repositories import serve_repository
from slapos.testing.waiting import wait_for
from tests.scenario.changes import Change, Site, fetch, shows
from tests.scenario.keeper import Keeper
from tests.scenario.processes import Marked, TwiceWatch
from tests.scenario.writers import Paper

TOP = Path(__file__).parents[2]
DEADLINE = float(os.environ.get("HYPEROPENX_SCENARIO_DEADLINE", "90"))
"""Seconds within which what is wanted must be so again."""

Pids = dict[str, tuple[int, int]]


@dataclass
class Stage:
    """``sites`` by title.  Made by :func:`open_stage`."""

    cloud: Cloud
    master: Keeper
    daemon: Keeper
    watch: TwiceWatch
    paper: Paper
    log: DaemonLog
    sites: dict[str, Site] = field(default_factory=dict)

    def ask(self, site: Site, change: Change | None = None) -> Instance:
        """Order what is wanted; the acknowledgement."""
        state = InstanceState.DESTROYED if change is not None and change.name == "destroy" else site.state
        instance = self.cloud.ask(site.title, site.parameters, software_type=site.software_type, state=state)
        site.guid = instance.guid
        return instance

    def instances(self, site: Site) -> list[Instance]:
        """The tree of a site, the root first; empty when there is none."""
        return list(_flat(self.cloud.client.tree(site.guid))) if site.guid else []

    def trouble(self, site: Site) -> str:
        """What is not as it is wanted; empty: all is."""
        try:
            return self._trouble(site, self.instances(site))
        except (OSError, HyperopenxError) as error:
            return f"{type(error).__name__}: {error}"

    def _trouble(self, site: Site, instances: list[Instance]) -> str:
        wanted = Health.OK if site.started else Health.STOPPED
        for instance in instances:
            if instance.health is not wanted:
                return f"{instance.title} is {instance.health}: {instance.sentence}"
        if not site.started:
            return self._running_trouble({instance.partition for instance in instances})
        if len(instances) != (2 if site.software_type == "mirror" else 1):
            return f"the tree has {len(instances)} instances"
        page = fetch(instances[0], self.cloud.master.ca_file)
        return "" if shows(page, site) else f"another page is served: {page}"

    def _running_trouble(self, partitions: set[str]) -> str:
        running = [key for key in self.watch.marked.main_processes() if key.partition(":")[0] in partitions]
        return f"still running: {running}" if running else ""

    def gone_trouble(self, gone: Instance) -> str:
        """What is left of a destroyed instance."""
        try:
            health = self.cloud.client.instance(gone.guid).health
            busy = self.cloud.client.node_state(self.cloud.node.reference).partitions[gone.partition]
        except HyperopenxError as error:
            return str(error)
        if health is not Health.DESTROYED or (busy is not None and busy.guid == gone.guid):
            return f"{gone.title} is {health}"
        directory = self.cloud.node.config.partition_directory(gone.partition)
        left = [name for name in os.listdir(directory) if name != layout.RESOURCE]
        return f"left: {left}" if left else self._running_trouble({gone.partition})

    def pids(self) -> Pids:
        """Of every service that runs."""
        found = self.watch.marked.main_processes()
        return {key: processes[0].key for key, processes in found.items() if len(processes) == 1}

    def wait(self, *, seconds: float = DEADLINE) -> None:
        """Until every site is as it is wanted."""
        for site in self.sites.values():
            if site.guid:
                wait_for(partial(self.trouble, site), seconds, f"{site.title} is wanted so", until=_is_empty)

    def wait_gone(self, gone: Instance, *, seconds: float = DEADLINE) -> None:
        wait_for(lambda: self.gone_trouble(gone), seconds, f"{gone.title} is gone", until=_is_empty)


def _is_empty(text: str) -> bool:
    return not text


def _flat(tree: Tree) -> Iterator[Instance]:
    yield tree.instance
    for child in tree.children:
        yield from _flat(child)


@contextmanager
def open_stage(directory: Path) -> Iterator[Stage]:
    """All sites but the guest are ordered and served."""
    with ExitStack() as stack:
        repository = stack.enter_context(serve_repository(directory / "site.git"))
        repository.commit({"index.html": b"from git"})
        cloud = stack.enter_context(Cloud(directory / "cloud", kept=keep_build("website", TOP), partition_amount=6))
        config = cloud.node.config
        stage = Stage(
            cloud=cloud,
            master=stack.enter_context(Keeper(cloud.master)),
            daemon=stack.enter_context(Keeper(cloud.node)),
            watch=stack.enter_context(TwiceWatch(Marked(config.state_directory, config.instance_root))),
            paper=Paper(cloud),
            log=DaemonLog(os.path.join(cloud.node.directory, "slapgrid.log")),
        )
        git = {"url": repository.url, "interval": 1000}
        for site in (
            Site("first", parameters={"title": "First", "pages": {"index.html": "page 0"}}),
            Site("second", parameters={"title": "Second", "git": git}),
            Site("tree", "mirror", parameters={"title": "Tree 0"}),
            Site("guest"),
        ):
            stage.sites[site.title] = site
            if site.title != "guest":
                stage.ask(site)
        stage.wait()
        yield stage
