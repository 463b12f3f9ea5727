"""The fixtures of ``tests/unit/master``: the same databases, larger tests."""

from tests.unit.master.conftest import databases, postgres_server, storage, url, world

__all__ = ["databases", "postgres_server", "storage", "url", "world"]
