"""Makes ``tests.…`` importable.  Appended: what is installed is tested, not the clone beside it.

A clone may lie where users of partitions cannot read; the installed package never does.
"""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.append(str(Path(__file__).parents[1]))

# No database: the clone may be read-only for who tests.  No deadline: a busy machine is no defect.
settings.register_profile("here", database=None, deadline=None)
settings.load_profile("here")


# A server killed in the middle of a handshake leaves sockets of the HTTP library to the garbage collector.
CUT_SOCKETS = r"ignore:Exception ignored in. <ssl\.SSLSocket:pytest.PytestUnraisableExceptionWarning"
KILLING = ("tests/functional/", "tests/scenario/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs root says so when it cannot run; where servers are killed, their cut sockets are no failure."""
    for item in items:
        if item.nodeid.startswith(KILLING):
            item.add_marker(pytest.mark.filterwarnings(CUT_SOCKETS))
        if os.geteuid() != 0 and item.get_closest_marker("root") is not None:
            item.add_marker(pytest.mark.skip(reason="needs root"))
