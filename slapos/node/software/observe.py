"""Observe one release: what is on disk, what is remembered, who runs it.  Changes nothing."""

from __future__ import annotations

import hashlib
import os
import stat

from slapos.build.release import is_complete, read_record, release_directory
from slapos.node import layout
from slapos.node.context import Node
from slapos.node.records import load_release_record
from slapos.node.software.plan import ObservedRelease


def observe_release(node: Node, release: str) -> ObservedRelease:
    """A release as it is."""
    directory = release_directory(node.config.software_root, release)
    complete = is_complete(directory)
    return ObservedRelease(
        release=release,
        record=load_release_record(node.layout, release),
        exists=os.path.isdir(directory),
        complete=complete,
        changed=_changed(directory) if complete else (),
        users=_users(node, release, directory),
    )


def _changed(directory: str) -> tuple[str, ...]:
    """Local profiles, templates and patches whose bytes are no longer those that were built.

    Those behind URLs are compared when built.
    """
    record = read_record(directory)
    if record is None:
        return ()
    local = (item for item in record.profiles if os.path.isabs(item.location))
    return tuple(sorted(item.location for item in local if _sha256(item.location) != item.sha256))


def _sha256(path: str) -> str:
    """Empty for what is no file; the path comes from the build's user, who may name a pipe."""
    try:
        with open(path, "rb", opener=_opener) as stream:
            is_file = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
            return hashlib.file_digest(stream, "sha256").hexdigest() if is_file else ""
    except OSError:
        return ""


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _users(node: Node, release: str, directory: str) -> tuple[str, ...]:
    """Instances that want it, and partitions that still have it though their order says otherwise."""
    found = set(node.desired.users(release))
    wanting = set(node.desired.partitions_of(release))
    for name in node.config.partition_names:
        if name not in wanting and _link(node, name) == directory:
            found.add(name)
    return tuple(sorted(found))


def _link(node: Node, partition: str) -> str:
    try:
        return os.readlink(os.path.join(node.config.partition_directory(partition), layout.RELEASE_LINK))
    except OSError:
        return ""
