"""A master and a node together, and the life of instances on them: what tests of releases are written with.

::

    @pytest.fixture(scope="module")
    def cloud(tmp_path_factory):
        with Cloud(tmp_path_factory.mktemp("cloud"), kept=keep_build("website", TOP)) as made:
            yield made

    def test_it_is_served(cloud):
        instance = cloud.order("shop", {"title": "My shop"})
        assert "My shop" in cloud.fetch(instance.connection["url"])
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from slapos.model.objects import Instance, InstanceRequest, Supply
from slapos.model.states import Health, InstanceState, SupplyReport
from slapos.slap.client import Client, Tree
from slapos.system.processes import run
from slapos.testing.builds import KeptBuild
from slapos.testing.master import MasterServer
from slapos.testing.nodes import NodeServer
from slapos.testing.waiting import wait_for

BUILD_SECONDS = 3600.0
SERVE_SECONDS = 120.0
_LOOK_SECONDS = 0.2
_REACHED = {
    InstanceState.STARTED: Health.OK,
    InstanceState.STOPPED: Health.STOPPED,
    InstanceState.DESTROYED: Health.DESTROYED,
}


class Cloud:
    """``release`` is the path of a profile, or ``kept`` a build that outlives the test; built before the block begins.

    ``node`` options as of :class:`~slapos.testing.nodes.NodeServer`.
    """

    def __init__(
        self, directory: str | os.PathLike[str], *, release: str = "", kept: KeptBuild | None = None, **node: Any
    ) -> None:
        self.kept = kept
        self._holding = contextlib.ExitStack()
        self.release = release if kept is None else kept.release
        self.master = MasterServer(directory, release_roots=(os.path.dirname(self.release),))
        self.node = NodeServer(self.master, **{**({} if kept is None else kept.options), **node})

    @property
    def client(self) -> Client:
        """The operator's."""
        return self.master.operator

    def build(self, seconds: float = BUILD_SECONDS) -> Supply:
        """Supply the release and wait until it is built; a failure shows its sentence."""
        self.client.supply(self.node.reference, self.release)
        return wait_for(self.supply, seconds, f"{self.release} is built", until=_is_settled, step=_LOOK_SECONDS)

    def supply(self) -> Supply:
        supplies = self.client.node(self.node.reference).supplies
        return next(item for item in supplies if item.release == self.release)

    def order(
        self,
        title: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        software_type: str = "default",
        state: InstanceState | None = None,
        seconds: float = SERVE_SECONDS,
    ) -> Instance:
        """Order or change, and wait until it is so.  Structured parameters travel as JSON under ``_``."""
        self.ask(title, parameters, software_type=software_type, state=state)
        return self.wait(title, seconds)

    def ask(
        self,
        title: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        software_type: str = "default",
        state: InstanceState | None = None,
    ) -> Instance:
        """Order or change, without waiting."""
        carried = {"_": json.dumps(parameters)} if parameters else {}
        request = InstanceRequest(title, self.release, software_type, carried, {}, state)
        return self.client.request(request)

    def wait(self, title: str, seconds: float = SERVE_SECONDS) -> Instance:
        """The instance once it is what is wanted."""
        return wait_for(
            lambda: self.client.instance(title=title),
            seconds,
            f"{title} is what is wanted",
            until=lambda item: item.health is _REACHED[item.state],
            step=_LOOK_SECONDS,
        )

    def tree(self, title: str) -> Tree:
        return self.client.tree(title=title)

    def fetch(self, url: str, *options: str) -> str:
        """The body that ``curl`` gets, verified with the authority of the master."""
        done = run(["curl", "-sS", "--fail", "--max-time", "10", "--cacert", self.master.ca_file, *options, url])
        assert done.code == 0, done.text
        return done.text

    def __enter__(self) -> Self:
        self.master.start()
        try:
            self.node.__enter__()
            supply = self._build()
            assert supply.reported is SupplyReport.AVAILABLE, f"{supply.sentence}\n{self.node.log_tail()}"
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _build(self) -> Supply:
        if self.kept is None:
            return self.build()
        return self._holding.enter_context(self.kept.held(self.build, self.node.config.software_user_name))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.node.remove()
        finally:
            self._holding.close()
            self.master.__exit__(kind, error, trace)


def _is_settled(supply: Supply) -> bool:
    return supply.reported in (SupplyReport.AVAILABLE, SupplyReport.ERROR)
