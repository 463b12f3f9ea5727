"""Generated requests in every dialect: no 500, no hang, and what is refused changes nothing.

``HYPEROPENX_FUZZ_CASES`` says how many in all (6,000; ``make fuzz``: 200,000).  Failures print the request.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from slapos.model.objects import InstanceRequest
from slapos.testing.master import MasterServer
from tests.security.conftest import PROPERTY
from tests.security.fuzz import json_cases, xml_cases
from tests.security.fuzz.conftest import RELEASE
from tests.security.fuzz.target import Case, Reply, Target

CASES = int(os.environ.get("HYPEROPENX_FUZZ_CASES", "6000"))
BATCH = 5_000
SHARES = {"xml": 0.45, "json": 0.35, "own": 0.12, "hateoas": 0.08}

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture
def target(master: MasterServer) -> Iterator[Target]:
    """A client of its legacy listener."""
    found = Target(master.legacy_url, str(Path(master.config.state_directory) / "master.db"))
    yield found
    found.close()


def fire(target: Target, dialect: str, cases: st.SearchStrategy[Case], check: Callable[[Case, Reply], None]) -> str:
    """All cases of a dialect, in batches since the generator remembers; the sentence for the summary."""
    left = max(10, int(CASES * SHARES[dialect]))
    first = random.randrange(2**32) if "HYPEROPENX_FUZZ_CASES" in os.environ else 20261123

    for number in itertools.count(first):

        @seed(number)
        @settings(
            max_examples=min(left, BATCH),
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases)
        def one(case: Case) -> None:
            check(case, target.judge(case))

        one()
        left -= BATCH
        if left <= 0:
            break
    statuses = ", ".join(f"{status}: {times:,}" for status, times in sorted(target.statuses.items()))
    return f"{sum(target.statuses.values()):,} cases from seed {first}; {statuses}"


def test_xml(target: Target, record_property: Callable[[str, object], None]) -> None:
    def check(case: Case, reply: Reply) -> None:
        assert b"Traceback" not in reply.body, case
        assert b"root:x:" not in reply.body, case

    record_property(PROPERTY, fire(target, "xml", xml_cases.cases(), check))
    assert {200, 400, 404} <= set(target.statuses)


def test_json(target: Target, record_property: Callable[[str, object], None]) -> None:
    def check(case: Case, reply: Reply) -> None:
        if case.verb == "HEAD":
            return
        assert reply.content_type.startswith("application/json"), case
        document = json.loads(reply.body)
        if reply.refused:
            assert set(document) == {"status", "type", "title"}, (case, document)
            assert document["status"] == reply.status, (case, document)

    record_property(PROPERTY, fire(target, "json", json_cases.cases("slapos."), check))
    assert {200, 400, 403} <= set(target.statuses)


def test_own(target: Target, record_property: Callable[[str, object], None]) -> None:
    def check(case: Case, reply: Reply) -> None:
        if case.verb != "HEAD":
            assert isinstance(json.loads(reply.body), dict), case

    record_property(PROPERTY, fire(target, "own", json_cases.cases("hyperopenx."), check))
    assert {200, 400} <= set(target.statuses)


def test_hateoas(target: Target, record_property: Callable[[str, object], None]) -> None:
    def check(case: Case, reply: Reply) -> None:
        if reply.status == 200:
            assert isinstance(json.loads(reply.body), dict), case

    record_property(PROPERTY, fire(target, "hateoas", xml_cases.listings(), check))
    assert {200, 400} <= set(target.statuses)


def test_it_still_serves(master: MasterServer) -> None:
    found = master.operator.request(InstanceRequest(title="afterwards", release=RELEASE))
    assert master.operator.instance(guid=found.guid).title == "afterwards"
    assert "Traceback" not in (master.directory / "master.log").read_text()
