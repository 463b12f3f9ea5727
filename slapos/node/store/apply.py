"""The effects of the actions of a store."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from slapos.build.store.keeper import ask_keeper
from slapos.node.context import Node
from slapos.node.plan import Action, Effect, Kind
from slapos.node.records import load_store_record, save_store_record
from slapos.node.store.observe import builder
from slapos.node.store.record import StoreRecord


@dataclass
class StoreEffects:
    """Effects for the store at ``root``; ``freed``: bytes of each part that they removed."""

    node: Node
    root: str
    freed: list[int] = field(default_factory=list)

    def table(self) -> Mapping[Kind, Effect]:
        """Which effect an action has."""
        return {
            Kind.SPARE_PART: self.forget,
            Kind.MARK_PART: self.mark,
            Kind.REMOVE_PART: self.remove,
            Kind.SWEEP_STORE: self.sweep,
        }

    def mark(self, action: Action) -> None:
        """From now on it counts as unused."""
        record = self._record()
        now = self.node.clock.wall()
        save_store_record(self.node.layout, dataclasses.replace(record, unused={**record.unused, action.subject: now}))

    def forget(self, action: Action) -> None:
        """When it is unused again, another grace time begins."""
        record = self._record()
        unused = {name: since for name, since in record.unused.items() if name != action.subject}
        save_store_record(self.node.layout, dataclasses.replace(record, unused=unused))

    def remove(self, action: Action) -> None:
        """Unless a build began to use it: then it stays, and the next plan says so."""
        freed = ask_keeper(self.node.config.store_root, "remove", action.subject, user=builder(self.node))
        if freed:
            self.freed.append(freed)
            self.forget(action)

    def sweep(self, action: Action) -> None:
        """What nobody is busy with."""
        ask_keeper(self.node.config.store_root, "sweep", user=builder(self.node))

    def remember(self) -> None:
        """What was freed, if anything."""
        if self.freed:
            now, removed, freed = self.node.clock.wall(), len(self.freed), sum(self.freed)
            record = dataclasses.replace(self._record(), at=now, removed=removed, freed=freed)
            save_store_record(self.node.layout, record)

    def _record(self) -> StoreRecord:
        record = load_store_record(self.node.layout)
        return record if record.root == self.root else StoreRecord(self.root)
