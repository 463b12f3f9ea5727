"""Usage: asked of each instance, checked, kept on disk until the master confirmed it, delivered once.

The identifier of a document is made from what it says and from the file it came in, so that a crash between keeping
and deleting, or between delivering and forgetting, gives the same identifier again, which the master knows.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from slapos.model.errors import HyperopenxError, InputError, Unavailable
from slapos.model.text import is_file_name
from slapos.node import layout
from slapos.node.context import Node
from slapos.node.partition.scripts import run_as_partition
from slapos.node.partition.services import Place, executable_names
from slapos.node.usage_document import SIZE_LIMIT, make_journal, parse_consumption
from slapos.slap.interface import Master
from slapos.system.below import list_below, read_below, unlink_below
from slapos.system.files import read_json, write_json

REPORT_SECONDS = 300.0
KEPT_LIMIT = 10_000


def collect_usage(node: Node, partition: str) -> list[str]:
    """Run the reports of a partition and keep what they say; sentences about what was not right."""
    place = node.place(partition)
    troubles = list(_run_reports(place))
    for name, facts in list_below(place.directory, layout.USAGE):
        if not stat.S_ISREG(facts.st_mode) or not is_file_name(name):
            continue
        try:
            _keep(node, place, name, facts)
        except HyperopenxError as error:
            troubles.append(f"{layout.USAGE}/{name}: {error}")
    return troubles


def _run_reports(place: Place) -> Iterator[str]:
    folder = os.path.join(place.directory, layout.REPORTS)
    for name in executable_names(place.directory, layout.REPORTS, place.user.uid):
        target = os.path.join(place.directory, layout.USAGE, f"slapreport.{secrets.token_hex(8)}")
        done = run_as_partition(place, [os.path.join(folder, name), target], timeout=REPORT_SECONDS, directory=folder)
        if done.code != 0:
            how = "took too long" if done.timed_out else f"failed with status {done.code}"
            yield f"the usage report {name} {how}: {done.text.strip()[-500:]}"


def _keep(node: Node, place: Place, name: str, facts: os.stat_result) -> None:
    """A valid document moves to the node's own directory; an invalid one stays and is said."""
    path = f"{layout.USAGE}/{name}"
    content = read_below(place.directory, path, frozenset({place.user.uid}), SIZE_LIMIT)
    movements = parse_consumption(content)
    instance = node.wanted(place.partition)
    origin = f"{place.partition} {instance.guid if instance else ''} {name} {facts.st_ino} {facts.st_mtime_ns}"
    identifier = hashlib.sha256(origin.encode() + b"\n" + content).hexdigest()
    written = datetime.fromtimestamp(facts.st_mtime, UTC).isoformat(timespec="seconds")
    document = make_journal(node.config.computer_id, [(place.partition, item) for item in movements], written)
    keep_document(node.layout.usage, identifier, document, int(facts.st_mtime))
    unlink_below(place.directory, path)


def keep_document(directory: str, identifier: str, document: str, date: int) -> None:
    """On disk until the master took it; :class:`InputError` ``too-many-usage-documents`` when it does not."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    if len(os.listdir(directory)) >= KEPT_LIMIT:
        raise InputError(
            f"{KEPT_LIMIT} documents wait for the master already.",
            reference="too-many-usage-documents",
            hint="They are collected once the master can be reached.",
        )
    kept = {"identifier": identifier, "document": document, "date": date}
    write_json(os.path.join(directory, f"{identifier}.json"), kept, mode=0o600)


def deliver_usage(client: Master, node: str, directory: str) -> int:
    """Hand over what is kept, oldest first; how many.  :class:`Unavailable` goes through, the rest stays."""
    delivered = 0
    kept = [(data["date"], path, data) for path, data in _kept(directory)]
    for _, path, data in sorted(kept, key=lambda item: item[:2]):
        try:
            client.usage(node, data["identifier"], data["document"])
        except Unavailable:
            raise
        except HyperopenxError:  # refused for ever: a repetition cannot help, a person may look at it
            os.replace(path, path.removesuffix(".json") + ".refused")
            continue
        delivered += 1
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    return delivered


def _kept(directory: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(directory)):
            if name.endswith(".json") and not name.startswith("."):
                path = os.path.join(directory, name)
                data = read_json(path)
                if data is not None:
                    yield path, data
