"""The promises of a partition: asked now or when they are due, remembered by the node."""

from __future__ import annotations

import contextlib

from slapos.build.own_buildout import own_python
from slapos.build.release import release_directory
from slapos.model.errors import HyperopenxError
from slapos.model.objects import PromiseResult
from slapos.node.context import Node
from slapos.node.goals.observed import Observed, Record
from slapos.node.goals.services import services_digest
from slapos.node.partition.services import Place, partition_environment
from slapos.node.records import change_record, load_record
from slapos.promises.discovery import find_promises
from slapos.promises.runner import Mode, Setting, run_promises

DEFAULT_PERIOD = 120.0


def has_promises(place: Place) -> bool:
    """Whether the instance promises anything."""
    return bool(find_promises(place.directory))


def next_run(record: Record) -> float:
    """When the first of them is due."""
    return record.promises_next or record.promises_at + DEFAULT_PERIOD


def check_promises(node: Node, place: Place, observed: Observed, *, force: bool = False) -> tuple[PromiseResult, ...]:
    """Ask all when something changed or one failed, else those that are due; their results, kept in the memory.

    A due promise that sees an anomaly and may bang has the master process the instance again.
    """
    before = load_record(node.layout, place.partition)
    known = services_digest(observed)
    calm = before.promises_for == known and all(item.ok for item in before.promises)
    test = force or not calm
    judged = run_promises(_setting(node, place), mode=Mode.TEST if test else Mode.ANOMALY, force=test)
    now = node.clock.wall()
    change_record(
        node.layout,
        place.partition,
        promises=judged.results,
        promises_for=known,
        promises_at=now,
        promises_next=judged.next_run or now + DEFAULT_PERIOD,
    )
    if judged.bangs and before.guid:
        with contextlib.suppress(HyperopenxError):  # the master is away: the next failure bangs again
            node.client.bang(before.guid, f"Promise {judged.bangs[0]} is failing")
    return judged.results


def _setting(node: Node, place: Place) -> Setting:
    config = node.config
    return Setting(
        directory=place.directory,
        user=place.user if place.switch else None,
        timeout=config.promise_timeout,
        config={
            "partition-id": place.partition,
            "computer-id": config.computer_id,
            "master-url": config.master_url,
            "partition-cert": node.layout.certificate(place.partition),
            "partition-key": node.layout.key(place.partition),
        },
        environment=partition_environment(place),
        python=_python(node, place),
    )


def _python(node: Node, place: Place) -> str:
    """The interpreter of a release that brings its own buildout, whose modules its promises import; else empty."""
    instance = node.wanted(place.partition)
    if instance is None:
        return ""
    return own_python(release_directory(node.config.software_root, instance.release))
