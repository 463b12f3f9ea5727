"""The wanted state of this node: kept on disk, so that a node works on without its master."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Mapping

from slapos.model.errors import InputError
from slapos.model.objects import Instance, NodeState, Supply
from slapos.model.states import Health, InstanceState
from slapos.node.remembering import while_it_lives
from slapos.slap.documents import instance_to_data, node_state_from_data, node_state_to_data
from slapos.system.files import atomic_write, read_json

NOTHING = NodeState(0, False, (), {})


def merge(old: NodeState, new: NodeState) -> NodeState:
    """``old`` with the changes of ``new``; a complete ``new`` replaces everything."""
    if new.complete:
        return new
    supplies = {item.release: item for item in old.supplies} | {item.release: item for item in new.supplies}
    return NodeState(new.generation, old.complete, tuple(supplies.values()), {**old.partitions, **new.partitions})


def changed_partitions(old: NodeState, new: NodeState) -> set[str]:
    """Names whose instance differs, those that appeared or disappeared included."""
    names = {*old.partitions, *new.partitions}
    return {
        name
        for name in names
        if (name in old.partitions) != (name in new.partitions)
        or _wishes_differ(old.partitions.get(name), new.partitions.get(name))
    }


def _wishes_differ(old: Instance | None, new: Instance | None) -> bool:
    """What the master did not tell anew is the same object."""
    return old is not new and _wish(old) != _wish(new)


def _wish(instance: Instance | None) -> object:
    """The part of an instance that the node acts on: not what it reported or published itself."""
    if instance is None:
        return None
    shared = tuple(dataclasses.replace(item, connection={}) for item in instance.shared_instances)
    return dataclasses.replace(
        instance,
        reported_state="",
        health=Health.PENDING,
        sentence="",
        promises=(),
        error={},
        connection={},
        shared_instances=shared,
        orphan=False,
        generation=0,
    )


def changed_releases(old: NodeState, new: NodeState) -> set[str]:
    """Releases whose wish differs."""
    before = {item.release: item.state for item in old.supplies}
    after = {item.release: item.state for item in new.supplies}
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


class Desired:
    """The last wanted state.  Thread-safe; a change is on disk before it is seen."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._state = _load(path)

    @property
    def state(self) -> NodeState:
        """As last heard."""
        with self._lock:
            return self._state

    @property
    def known(self) -> bool:
        """Whether the master was ever heard: without it no partition may be taken for free."""
        return self.state.complete

    def accept(self, new: NodeState) -> tuple[set[str], set[str]]:
        """Take over what the master said; the names of partitions and of releases that changed."""
        with self._lock:
            old = self._state
            merged = merge(old, new)
            if dataclasses.replace(merged, generation=old.generation) != old:
                os.makedirs(os.path.dirname(self._path), exist_ok=True)
                atomic_write(self._path, _as_json(merged), mode=0o600)
            self._state = merged
        return changed_partitions(old, merged), changed_releases(old, merged)

    def instance(self, partition: str) -> Instance | None:
        """Who must live in ``partition``."""
        return self.state.partitions.get(partition)

    def supply(self, release: str) -> Supply | None:
        """The wish for a release."""
        return next((item for item in self.state.supplies if item.release == release), None)

    def users(self, release: str) -> tuple[str, ...]:
        """Titles of the instances here that run ``release`` and are not destroyed, sorted."""
        return tuple(sorted(item.title for item in living(self.state.partitions) if item.release == release))

    def partitions_of(self, release: str) -> tuple[str, ...]:
        """Partitions whose instance runs ``release``."""
        found = self.state.partitions.items()
        return tuple(sorted(name for name, item in found if item is not None and item.release == release))


def living(partitions: Mapping[str, Instance | None]) -> list[Instance]:
    """Instances that are not wanted destroyed."""
    return [item for item in partitions.values() if item is not None and item.state is not InstanceState.DESTROYED]


_instance_data = while_it_lives(instance_to_data)


def _as_json(state: NodeState) -> str:
    """One line: of hundreds of instances one changes at a time, and each change is written."""
    data = node_state_to_data(dataclasses.replace(state, partitions={}))
    found = state.partitions.items()
    data["partitions"] = {name: None if item is None else _instance_data(item) for name, item in found}
    return json.dumps(data) + "\n"


def _load(path: str) -> NodeState:
    data = read_json(path)
    if data is None:
        return NOTHING
    try:
        return node_state_from_data(data)
    except InputError:  # written by another version: the master tells all again, and until then nothing is wiped
        return NOTHING
