"""The node's memory on disk: a small JSON file for each partition, each release and the store, written atomically."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from typing import Any

from slapos.node.goals.observed import Record, record_from_data, record_to_data
from slapos.node.layout import Layout
from slapos.node.software import plan as software
from slapos.node.store.record import StoreRecord, store_record_from_data, store_record_to_data
from slapos.system.files import atomic_write, read_json, write_json


def load_record(layout: Layout, partition: str) -> Record:
    """What is remembered of ``partition``; an empty record when nothing is."""
    return record_from_data(read_json(layout.partition_record(partition), {}))


def save_record(layout: Layout, partition: str, record: Record) -> Record:
    """Remember ``record``; the file is on disk on return."""
    path = layout.partition_record(partition)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    atomic_write(path, json.dumps(record_to_data(record)) + "\n", mode=0o600)
    return record


def change_record(layout: Layout, partition: str, **changes: Any) -> Record:
    """Remember the record with ``changes``."""
    return save_record(layout, partition, dataclasses.replace(load_record(layout, partition), **changes))


def load_release_record(layout: Layout, release: str) -> software.ReleaseRecord:
    """What is remembered of ``release``."""
    return software.record_from_data(read_json(layout.release_record(release), {}))


def save_release_record(layout: Layout, record: software.ReleaseRecord) -> None:
    """Remember ``record``."""
    path = layout.release_record(record.release)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_json(path, software.record_to_data(record), mode=0o600)


def forget_release(layout: Layout, release: str) -> None:
    """Remember nothing of ``release``."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(layout.release_record(release))


def remembered_releases(layout: Layout) -> list[str]:
    """Releases with a record, sorted."""
    directory = os.path.dirname(layout.release_record(""))
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(".json") and not name.startswith("."))
    except FileNotFoundError:
        return []
    found = (software.record_from_data(read_json(os.path.join(directory, name), {})) for name in names)
    return sorted(record.release for record in found if record.release)


def load_store_record(layout: Layout) -> StoreRecord:
    """What is remembered of the store."""
    return store_record_from_data(read_json(layout.store_record, {}))


def save_store_record(layout: Layout, record: StoreRecord) -> None:
    """Remember ``record``."""
    write_json(layout.store_record, store_record_to_data(record), mode=0o600)
