"""One master and one node for all tests of bad input: after each of them both go on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.functional.bad_input.harness import Bench, open_bench


@pytest.fixture(scope="package")
def bench() -> Iterator[Bench]:
    """The daemon runs, the release ``hello`` is built."""
    with open_bench() as made:
        yield made
