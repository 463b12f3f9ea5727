"""Writes ``<revision>.db`` beside itself: a small database of the present schema, kept for ever.

Run it once, right before a new migration is added (docs: checklist of migrations); never overwrite a kept one.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[2]))

from slapos.master.storage import migrate  # noqa: E402
from slapos.master.storage.database import open_storage  # noqa: E402
from tests.unit.master.world import World, instance_principal  # noqa: E402


def main() -> None:
    path = HERE / f"{migrate.head()}.db"
    if path.exists():
        sys.exit(f"{path} is kept already")
    storage = open_storage(f"sqlite:///{path}")
    world = World(storage)
    world.node(partitions=3)
    site = world.request("site", parameters={"title": "Kept ✓", "_": '{"a": [1]}'})
    child = world.child(site, "db")
    world.child(child, "guest", shared=True, sla={"instance_guid": site.guid})
    world.publish(child, {"url": "https://[::1]/"}, by=instance_principal(child.guid))
    gone = world.request("gone")
    world.destroy(gone)
    world.report_destroyed(gone)
    world.request("waiting", sla={"capability": "gpu"})
    storage.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("VACUUM")
    connection.close()
    for leftover in (f"{path}-wal", f"{path}-shm"):
        if os.path.exists(leftover):
            os.unlink(leftover)


if __name__ == "__main__":
    main()
