"""What every cycle of a node works with."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass, field

from slapos.build.warm import Warm
from slapos.model.objects import Instance
from slapos.node.config import NodeConfig
from slapos.node.desired import Desired
from slapos.node.layout import Layout
from slapos.node.partition.services import Place
from slapos.node.supervisor.interface import Supervisor
from slapos.slap.dialect import Asker, open_master
from slapos.slap.interface import Master
from slapos.system.clock import Clock, SystemClock
from slapos.system.files import atomic_write
from slapos.system.users import identity, own_identity


def layout_of(config: NodeConfig) -> Layout:
    """The paths of a configured node."""
    return Layout(
        state=config.state_directory,
        run=config.run_directory,
        logs=config.log_directory,
        certificates=config.certificate_repository_path,
    )


def make_client(config: NodeConfig, *, timeout: float = 60.0, patience: float = 10.0) -> Master:
    """A client with the node's own certificate, for the dialect that its master speaks."""
    return open_master(
        config.client_config,
        Asker(node=config.computer_id),
        timeout=timeout,
        patience=patience,
        poll_period=config.poll_period,
    )


class Progress:
    """What builds say of themselves now, by release; for those who wait for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sentences: dict[str, str] = {}

    def say(self, release: str, sentence: str) -> None:
        """The build of ``release`` is at ``sentence``; empty: it ended."""
        with self._lock:
            if sentence:
                self._sentences[release] = sentence
            else:
                self._sentences.pop(release, None)

    def of(self, release: str) -> str:
        """The last sentence; empty when it is not being built."""
        with self._lock:
            return self._sentences.get(release, "")


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node: its configuration, its wanted state, and the doors to master, supervisor and engine."""

    config: NodeConfig
    layout: Layout
    client: Master
    supervisor: Supervisor
    engine: Warm
    desired: Desired
    clock: Clock = field(default_factory=SystemClock)
    progress: Progress = field(default_factory=Progress)

    def place(self, partition: str) -> Place:
        """A partition as its processes see it; :class:`NotFound` when its user was not made."""
        name = self.config.partition_user(partition)
        return Place(
            partition=partition,
            directory=self.config.partition_directory(partition),
            user=own_identity() if name is None else identity(name),
            switch=name is not None,
            logs=self.layout.partition_logs(partition),
        )

    def wanted(self, partition: str) -> Instance | None:
        """Who must live in ``partition``."""
        return self.desired.instance(partition)


def make_directories(config: NodeConfig) -> None:
    """Directories of the node's own.  Certificates must be reachable, not listable, by the partitions' users."""
    paths = layout_of(config)
    private = (paths.state, paths.outbox, paths.usage, os.path.dirname(paths.partition_record("x")))
    for path in (*private, os.path.dirname(paths.release_record("x"))):
        os.makedirs(path, mode=0o700, exist_ok=True)
    for path, mode in ((paths.certificates, 0o711), (paths.logs, 0o755), (paths.run, 0o700)):
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
    _share_authority(config, paths)


def _share_authority(config: NodeConfig, paths: Layout) -> None:
    """Scripts of the field name no CA: the classic library looks beside the certificate of the partition."""
    try:
        with open(config.master_ca_file, "rb") as stream:
            content = stream.read()
        with contextlib.suppress(FileNotFoundError), open(paths.authority, "rb") as stream:
            if stream.read() == content:
                return
    except OSError:  # none is named, or whoever connects will say that it cannot be read
        return
    atomic_write(paths.authority, content, mode=0o644)
