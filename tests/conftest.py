"""Makes ``tests.…`` importable.  Appended: what is installed is tested, not the clone beside it.

A clone may lie where users of partitions cannot read; the installed package never does.
"""

import os
import sys
from collections.abc import Generator
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

# Set where tests with the real SlapOS must run: by .ci/run as root.
PEERS_REQUIRED = "HYPEROPENX_PEERS_REQUIRED"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs root says so when it cannot run; where servers are killed, their cut sockets are no failure."""
    for item in items:
        if item.nodeid.startswith("tests/interop/"):
            item.add_marker(pytest.mark.peers)
        if item.nodeid.startswith(KILLING):
            item.add_marker(pytest.mark.filterwarnings(CUT_SOCKETS))
        if os.geteuid() != 0 and item.get_closest_marker("root") is not None:
            item.add_marker(pytest.mark.skip(reason="needs root"))
    skip_without_peers([item for item in items if item.get_closest_marker("peers") is not None])


def skip_without_peers(items: list[pytest.Item]) -> None:
    """Tests with the real SlapOS, where it cannot run and need not."""
    if not items or os.environ.get(PEERS_REQUIRED):
        return
    from slapos.testing import peers  # other tests shall not wait for all that it imports

    if (reason := peers.missing()) is not None:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where the real SlapOS is required, a test with it that is skipped for whatever reason has failed."""
    report = yield
    if report.skipped and os.environ.get(PEERS_REQUIRED) and item.get_closest_marker("peers") is not None:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped where it has to run: {report.longrepr}"
    return report
