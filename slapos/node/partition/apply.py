"""The effects of the actions of a partition: one per kind, in one table.

Whatever touches files of a partition goes through ``system.below`` (no link is followed) or runs as its user.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from slapos.build.release import release_directory
from slapos.model.errors import HyperopenxError, Unavailable
from slapos.model.objects import Instance
from slapos.model.states import InstanceState
from slapos.node import certificates, layout, profile
from slapos.node.context import Node
from slapos.node.destruction import scan, wipe
from slapos.node.goals.destroyed import retention_delay
from slapos.node.goals.observed import Record, Wanted
from slapos.node.partition.observe import observe
from slapos.node.partition.promises import check_promises
from slapos.node.partition.run import run_instance
from slapos.node.partition.scripts import run_prerm
from slapos.node.partition.services import Place
from slapos.node.partition.switch import ServiceSwitch
from slapos.node.plan import Action, Effect, Kind
from slapos.node.records import change_record, load_record, save_record
from slapos.system.below import link_below, make_directory_below, own_directory, read_below, write_below
from slapos.system.disk import require_free_space


@dataclass(frozen=True, kw_only=True)
class PartitionEffects:
    """Effects for one partition."""

    node: Node
    place: Place
    wanted: Wanted | None

    def table(self) -> Mapping[Kind, Effect]:
        """Which effect an action has."""
        services = ServiceSwitch(self.node, self.place)
        return {
            Kind.PREPARE: self.prepare,
            Kind.CERTIFY: self.certify,
            Kind.WRITE: self.write,
            Kind.RUN: self.run,
            Kind.ADD: services.add,
            Kind.START: services.start,
            Kind.RESTART: services.restart,
            Kind.RELOAD: services.reload,
            Kind.REMOVE: services.remove,
            Kind.STOP: services.remove,
            Kind.CHILDREN: self.children,
            Kind.PROMISES: self.promises,
            Kind.HOLD: self.hold,
            Kind.PRERM: self.prerm,
            Kind.WIPE: self.wipe,
            Kind.SCAN: self.scan,
            Kind.FORGET: self.forget,
        }

    @property
    def instance(self) -> Instance:
        """Whose actions these are; only actions for an instance ask."""
        assert self.wanted is not None
        return self.wanted.instance

    @property
    def owner(self) -> tuple[int, int]:
        """User and group id of the partition."""
        return self.place.user.uid, self.place.user.gid

    def prepare(self, action: Action) -> None:
        """The memory first: from here on, what is in the partition belongs to the instance."""
        record = load_record(self.node.layout, self.place.partition)
        if record.guid != self.instance.guid:
            save_record(self.node.layout, self.place.partition, Record(guid=self.instance.guid))
        directory = self.place.directory
        require_free_space(directory, self.node.config.instance_min_free_space)
        own_directory(directory, *self.owner, 0o750)
        make_directory_below(directory, layout.PRIVATE, mode=0o700, owner=self.owner)
        os.makedirs(self.place.logs, mode=0o755, exist_ok=True)

    def certify(self, action: Action) -> None:
        """While the master is away a certificate that is still valid stays in use."""
        partition, node = self.place.partition, self.node
        place = (node.config.computer_id, partition)
        try:
            certificates.certify(node.client, node.layout, place, self.instance.guid, self.place.user)
        except Unavailable:
            if not certificates.still_valid(node.layout, partition, node.clock.wall()):
                raise

    def write(self, action: Action) -> None:
        """The document, the profile, and the link to the release."""
        self._write()

    def _write(self) -> None:
        node, directory = self.node, self.place.directory
        release = release_directory(node.config.software_root, self.instance.release)
        template = profile.read_template(release)
        files = profile.make_files(node.config, node.layout, self.place.partition, self.instance, template)
        link_below(directory, layout.RELEASE_LINK, release, self.owner)
        for name, content, mode in ((layout.DOCUMENT, files.document, 0o600), (layout.PROFILE, files.profile, 0o640)):
            if not self._holds(name, content):
                write_below(directory, name, content, mode=mode, owner=self.owner)

    def _holds(self, name: str, content: bytes) -> bool:
        """Whether a file of the partition's user already is so: a write waits for the disk."""
        with contextlib.suppress(OSError, HyperopenxError):
            return read_below(self.place.directory, name, frozenset({self.place.user.uid})) == content
        return False

    def run(self, action: Action) -> None:
        """Buildout, with the document as it is now (recipes look there at what they published before)."""
        assert self.wanted is not None
        self._write()
        run_instance(self.node, self.place, self.wanted)

    def children(self, action: Action) -> None:
        """Which instances the last run requested."""
        _, observed = observe(self.node, self.place.partition)
        self.node.client.requested_children(self.instance.guid, observed.children)
        change_record(self.node.layout, self.place.partition, children=observed.children)

    def promises(self, action: Action) -> None:
        """A failing promise is a result, not an error of the action."""
        _, observed = observe(self.node, self.place.partition)
        check_promises(self.node, self.place, observed)

    def hold(self, action: Action) -> None:
        """Remember until when the data stays."""
        delay = retention_delay(self.instance.sla.get("retention_delay", ""))
        change_record(self.node.layout, self.place.partition, retention_until=self.node.clock.wall() + delay)

    def prerm(self, action: Action) -> None:
        """One script, to its end, before its partition is wiped."""
        run_prerm(self.place, action.subject)
        record = load_record(self.node.layout, self.place.partition)
        change_record(self.node.layout, self.place.partition, prerm_done=(*record.prerm_done, action.subject))

    def wipe(self, action: Action) -> None:
        """Files, certificate and logs of the instance."""
        wipe(self.node, self.place)
        change_record(self.node.layout, self.place.partition, wiped=True, scanned=False)

    def scan(self, action: Action) -> None:
        """Nothing of the partition's user may be left on the machine."""
        scan(self.node, self.place)
        change_record(self.node.layout, self.place.partition, scanned=True)

    def forget(self, action: Action) -> None:
        """The next instance may come; of the last one only the name of the destroyed is kept, to be reported."""
        gone = self.wanted is not None and self.wanted.instance.state is InstanceState.DESTROYED
        record = Record(destroyed=self.instance.guid) if gone else Record()
        save_record(self.node.layout, self.place.partition, record)
