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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs root says so when it cannot run."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root") is not None:
            item.add_marker(pytest.mark.skip(reason="needs root"))
