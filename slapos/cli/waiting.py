"""Waiting until an instance is what was asked for, and showing what happens meanwhile."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from slapos.cli.progress import Progress
from slapos.cli.views import short_release, tree_view
from slapos.model.errors import BuildFailed, HyperopenxError, NotFound, NotReady, Refused
from slapos.model.objects import Instance, Supply
from slapos.model.states import Health, InstanceState, SupplyReport

if TYPE_CHECKING:
    from slapos.slap.interface import Person, Tree

LOOK_SECONDS = 0.5
#: A failure is tried again by the node; one that lasts is told to who waits.
ERROR_SECONDS = 60.0

_REACHED = {
    InstanceState.STARTED: Health.OK,
    InstanceState.STOPPED: Health.STOPPED,
    InstanceState.DESTROYED: Health.DESTROYED,
}


def served(instance: Instance) -> bool:
    """Whether the node brought about what was last asked for."""
    return instance.health == _REACHED[instance.state]


class Watch:
    """Looks at one tree, and at the supply that it waits for."""

    def __init__(self, *, client: Person, instance: Instance) -> None:
        self.client = client
        self.instance = instance
        self._failing_since: float | None = None
        self._failure: BuildFailed | None = None

    def look(self) -> tuple[bool, RenderableType, str]:
        """For :meth:`Progress.watch`.  :class:`BuildFailed` when a failure lasts."""
        tree = self._tree()
        if tree is None:  # destroyed: there is nothing left to see
            return True, Text(""), "destroyed"
        self.instance = tree.instance
        line = f"{self.instance.title}: {self.instance.sentence or self.instance.health}"
        if served(self.instance):
            return True, tree_view(tree), line
        supply = self._supply()
        self._judge(supply)
        if supply is not None and supply.reported is not SupplyReport.AVAILABLE:
            line = f"{short_release(supply.release)}: {supply.sentence or supply.reported}"
            colour = "red" if supply.reported is SupplyReport.ERROR else "cyan"
            return False, Text(line, style=colour), line
        return False, tree_view(tree), line

    def _tree(self) -> Tree | None:
        try:
            return self.client.tree(self.instance.guid)
        except NotFound:
            if self.instance.state is InstanceState.DESTROYED:
                return None
            raise

    def _supply(self) -> Supply | None:
        """The release of the instance on its node; None when we may not see the node, or it is another master's."""
        if not self.instance.node or self.instance.master:
            return None
        try:
            supplies = self.client.node(self.instance.node).supplies
        except (Refused, NotFound):
            return None
        return next((item for item in supplies if item.release == self.instance.release), None)

    def _judge(self, supply: Supply | None) -> None:
        self._failure = self._find_failure(supply)
        if self._failure is None:
            self._failing_since = None
            return
        self._failing_since = self._failing_since or time.monotonic()
        if time.monotonic() - self._failing_since >= ERROR_SECONDS and not self._is_at_work(supply):
            raise self._failure

    def _is_at_work(self, supply: Supply | None) -> bool:
        """Whether a new try runs: it may take longer than our patience with failures, and succeed."""
        if supply is not None and supply.reported is not SupplyReport.AVAILABLE:
            return supply.reported is SupplyReport.BUILDING
        return self.instance.health is Health.WORKING

    def _find_failure(self, supply: Supply | None) -> BuildFailed | None:
        """The failure that the node has, also while it tries again: its error stays until a success."""
        if supply is not None and (supply.error or supply.reported is SupplyReport.ERROR):
            return self._failed("release-fails", supply.error, supply.sentence)
        if self.instance.error or self.instance.health is Health.ERROR:
            return self._failed("instance-fails", self.instance.error, self.instance.sentence)
        return None

    def _failed(self, reference: str, error: Mapping[str, Any], sentence: str) -> BuildFailed:
        hint = "The node tries again by itself; mend the cause, or give it up with --state destroyed."
        return BuildFailed(
            error.get("message") or sentence or "It fails.",
            reference=reference,
            context={"instance": self.instance.guid, "node": self.instance.node, **error.get("context", {})},
            hint=" ".join(filter(None, (error.get("hint"), hint))),
        )

    def unserved(self, seconds: float) -> HyperopenxError:
        """What to tell whose patience of ``seconds`` is over: a failure, or what it waits for."""
        return self._failure or NotReady(
            f"{self.instance.title} is not served after {seconds:g} s: {self.instance.sentence}",
            context={"reasons": list(self.instance.reasons)} if self.instance.reasons else {},
            hint=f"The order stands. Look again with: slapos service info {self.instance.guid}",
        )


def wait_until_served(client: Person, instance: Instance, seconds: float, progress: Progress | None = None) -> Instance:
    """The instance once it is served.

    :raises NotReady: ``not-ready`` after ``seconds``; the order stands.
    :raises BuildFailed: when it fails at that time, or for :data:`ERROR_SECONDS` without a success between.
    """
    watch = Watch(client=client, instance=instance)
    if not (progress or Progress.for_person()).watch(watch.look, every=LOOK_SECONDS, seconds=seconds):
        raise watch.unserved(seconds)
    return watch.instance
