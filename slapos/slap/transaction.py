"""The file in which a partition notes what it requested (spec/04 §9): the node tells its master what is no longer."""

from __future__ import annotations

import os

ROOT_VARIABLE = "SLAPGRID_INSTANCE_ROOT"
COMPUTER_PARTITION_REQUEST_LIST_TEMPLATE_FILENAME = ".slapos-request-transaction-%s"


def begin(partition: str | None) -> None:
    """Make the file, empty, when this runs while ``partition`` is processed and may write there."""
    _append(partition, "")


def note(partition: str | None, title: str) -> None:
    """One more title."""
    _append(partition, f"{title}\n")


def _append(partition: str | None, text: str) -> None:
    root = os.environ.get(ROOT_VARIABLE, "")
    if not root or not partition:
        return
    path = os.path.join(root, partition, COMPUTER_PARTITION_REQUEST_LIST_TEMPLATE_FILENAME % partition)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, 0o600), "ab") as stream:
            stream.write(text.encode("utf-8", "replace"))
    except OSError:  # not our partition: nobody would read it there
        return
