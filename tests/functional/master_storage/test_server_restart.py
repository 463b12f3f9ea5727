"""PostgreSQL goes away and comes back under a running master."""

from __future__ import annotations

import threading
import time

from slapos.master.storage.database import open_storage
from slapos.model.errors import Unavailable
from slapos.testing.postgresql import PostgresServer
from tests.unit.master.world import World

SECONDS = 30.0


def test_a_restarted_server_is_found_again(postgres_server: PostgresServer) -> None:
    storage = open_storage(postgres_server.create_database("restarted"))
    world = World(storage)
    world.node(partitions=20)
    world.request("before")
    missed = threading.Event()
    storage.subscribe(lambda generation, subjects: missed.set() if not subjects else None)
    time.sleep(1.0)  # the listener listens
    postgres_server.restart()
    try:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                assert world.request("after").node
                break
            except Unavailable:
                assert time.monotonic() < deadline
        assert world.find("SOFTINST-1").title == "before"
        assert missed.wait(SECONDS), "subscribers must be told that changes may have been missed"
    finally:
        storage.close()
