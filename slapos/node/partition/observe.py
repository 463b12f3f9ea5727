"""Observe one partition: what is on disk, what the supervisor says, what is remembered.  Changes nothing."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import math
import os
import stat
from collections.abc import Mapping
from typing import Any

from slapos.build.release import is_complete, release_directory
from slapos.model.errors import HyperopenxError, Unavailable
from slapos.model.objects import Instance
from slapos.model.states import InstanceState, SupplyState
from slapos.node import certificates, layout, profile
from slapos.node.context import Node
from slapos.node.goals.observed import ENGINE, ORDER, RELEASE, Observed, Record, Running, Wanted
from slapos.node.partition.promises import has_promises, next_run
from slapos.node.partition.services import Place, declared_services, executable_names
from slapos.node.records import load_record, load_release_record
from slapos.node.supervisor.interface import ServiceState, ServiceStatus
from slapos.system.below import list_below, read_below

_STATES = {
    ServiceState.STARTING: "running",
    ServiceState.RUNNING: "running",
    ServiceState.BACKOFF: "crashing",
    ServiceState.STOPPING: "running",
    ServiceState.STOPPED: "stopped",
    ServiceState.EXITED: "ended",
}
_NEVER = -1.0


@functools.cache
def engine_version() -> str:
    """Of this distribution."""
    return importlib.metadata.version("hyperopenx")


def observe(node: Node, partition: str) -> tuple[Wanted | None, Observed]:
    """What the partition must be, and what it is."""
    place = node.place(partition)
    record = load_record(node.layout, partition)
    running = running_services(node, partition)
    instance = node.wanted(partition)
    if not os.path.isdir(place.directory):
        wanted = None if instance is None else Wanted(instance)
        return wanted, Observed(partition, record, exists=False, running=running)
    if not record.guid and not record.destroyed:
        record = _adopted(place, record)
    wanted, ready, sentence = (None, False, "") if instance is None else _wanted(node, partition, instance)
    return wanted, _observed(node, place, record, running, ready, sentence)


def _observed(
    node: Node, place: Place, record: Record, running: tuple[Running, ...], ready: bool, sentence: str
) -> Observed:
    uid, directory, partition = place.user.uid, place.directory, place.partition
    services = declared_services(directory, uid)
    return Observed(
        partition=partition,
        record=record,
        prepared=_is_prepared(place),
        empty=all(name == layout.RESOURCE for name, _ in list_below(directory)),
        release_ready=ready,
        release_sentence=sentence,
        release_error=_release_error(node, partition) if not ready else {},
        files=_files(place),
        renew_at=_renewal_date(node, place, record.guid),
        has_certificate=certificates.has_certificate(node.layout, partition),
        declared=services.declared,
        refused=services.refused,
        running=running,
        prerm=_prerm(directory, uid),
        has_promises=has_promises(place),
        promises_due=next_run(record),
        children=_children(place),
        period=_period(node, record, partition),
    )


def _renewal_date(node: Node, place: Place, guid: str) -> float | None:
    if not node.config.certified:
        return math.inf
    foreign = node.config.client_config.foreign
    date = certificates.renewal_date(node.layout, place.partition, guid, place.user, foreign=foreign)
    if date is None or not foreign:
        return date
    # Asking again before the end would give the same certificate again.
    return math.inf if certificates.still_valid(node.layout, place.partition, node.clock.wall()) else None


def running_services(node: Node, partition: str) -> tuple[Running, ...]:
    """What the supervisor has of a partition."""
    prefix = f"{partition}:"
    try:
        found = node.supervisor.services(partition)
    except Unavailable:  # it is not started: a plan made now shows what a cycle, which starts it, would do
        return ()
    mine = {key.removeprefix(prefix): item for key, item in found.items() if key.startswith(prefix)}
    return tuple(_running(name, item, node.layout.service_log(partition, name)) for name, item in mine.items())


def _running(name: str, status: ServiceStatus, log: str) -> Running:
    state = _STATES[status.state]
    if state == "ended" and (status.watched or status.exit_code):
        state = "failed"
    digests = (status.digest, status.reload_digest)
    return Running(name, state, *digests, status.pid, status.since, status.exit_code, log)


def _adopted(place: Place, record: Record) -> Record:
    """The node's memory is lost, but the partition says whose it is: that instance is not taken for a stranger."""
    try:
        document = json.loads(read_below(place.directory, layout.DOCUMENT, frozenset({place.user.uid})))
        guid = document["guid"]
    except (OSError, ValueError, KeyError, TypeError, HyperopenxError):
        return record
    return Record(guid=guid) if isinstance(guid, str) else record


def _wanted(node: Node, partition: str, instance: Instance) -> tuple[Wanted, bool, str]:
    """What is wanted, whether the release can be used, and if not why."""
    inputs = {ORDER: profile.order_digest(instance), ENGINE: engine_version()}
    directory = release_directory(node.config.software_root, instance.release)
    if instance.state is not InstanceState.STARTED or not is_complete(directory):
        return Wanted(instance, inputs), False, _release_sentence(node, instance.release)
    try:
        template = profile.read_template(directory)
        files = profile.make_files(node.config, node.layout, partition, instance, template)
    except HyperopenxError as error:
        return Wanted(instance, inputs), False, str(error)
    inputs[RELEASE] = _release_digest(directory, template)
    return Wanted(instance, inputs, files.digest), True, ""


def _release_digest(directory: str, template: str) -> str:
    """Changes when the release was built again."""
    with open(os.path.join(directory, ".completed"), "rb") as stream:
        return hashlib.sha256(stream.read() + b"\0" + template.encode()).hexdigest()


def _release_sentence(node: Node, release: str) -> str:
    building = node.progress.of(release)
    if building:
        return f"waiting for its release: {building}"
    supply = node.desired.supply(release)
    if supply is None or supply.state is not SupplyState.AVAILABLE:
        return f"waiting for its release: {release} is not supplied to this node"
    record = load_release_record(node.layout, release)
    if record.outcome == "failed":
        return f"waiting for its release, whose build failed: {record.sentence}"
    return f"waiting for its release {release}: it is not built yet"


def _release_error(node: Node, partition: str) -> Mapping[str, Any]:
    instance = node.wanted(partition)
    if instance is None or instance.state is not InstanceState.STARTED:
        return {}
    return load_release_record(node.layout, instance.release).error


def _is_prepared(place: Place) -> bool:
    facts = os.lstat(place.directory)
    if not stat.S_ISDIR(facts.st_mode):
        return False
    private = {name for name, item in list_below(place.directory) if stat.S_ISDIR(item.st_mode)}
    logs = os.path.isdir(place.logs)
    return (facts.st_uid, facts.st_mode & 0o7777) == (place.user.uid, 0o750) and layout.PRIVATE in private and logs


def _files(place: Place) -> str:
    owners = frozenset({place.user.uid})
    try:
        document = read_below(place.directory, layout.DOCUMENT, owners)
        return profile.files_digest(document, read_below(place.directory, layout.PROFILE, owners))
    except (OSError, HyperopenxError):
        return ""


def _prerm(directory: str, uid: int) -> tuple[str, ...]:
    scripts = [f"{layout.PRERM}/{name}" for name in executable_names(directory, layout.PRERM, uid)]
    if "destroy" in executable_names(directory, "sbin", uid):
        scripts.append(layout.DESTROY)
    return tuple(scripts)


def _children(place: Place) -> tuple[str, ...]:
    try:
        content = read_below(place.directory, layout.transaction_file(place.partition), frozenset({place.user.uid}))
    except (OSError, HyperopenxError):
        return ()
    return tuple(sorted({line for line in content.decode("utf-8", "replace").split("\n") if line}))


def _period(node: Node, record: Record, partition: str) -> float:
    """``<release>/periodicity`` (seconds), else the node's; 0 in the field means always, which here is the resync."""
    instance = node.wanted(partition)
    if instance is None:
        return _NEVER
    path = os.path.join(release_directory(node.config.software_root, instance.release), "periodicity")
    try:
        with open(path, encoding="utf-8") as stream:
            return float(stream.read(64))
    except (OSError, ValueError):
        return node.config.maximum_periodicity
