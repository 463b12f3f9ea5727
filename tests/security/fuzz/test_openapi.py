"""The OpenAPI document is true: schemathesis calls each method as the document says, rightly and wrongly.

Its checks: no server error; every status, content type and answer is one that the document names; what breaks the
schema is refused.  What fits may still be refused: a schema cannot say which texts name something that exists.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import positive_data_acceptance
from schemathesis.specs.openapi.schemas import OpenApiSchema

from slapos.testing.master import MasterServer
from slapos.wire.messages import METHODS
from tests.security.conftest import PROPERTY

EACH = max(20, int(os.environ.get("HYPEROPENX_FUZZ_CASES", "2000")) // 500)

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def described(master: MasterServer) -> OpenApiSchema:
    """As the master describes itself."""
    return schemathesis.openapi.from_url(f"{master.legacy_url}/openapi.json")


def operations(described: OpenApiSchema) -> list[APIOperation]:
    """One per method."""
    return [result.ok() for result in described.get_all_operations()]


def test_every_method_is_described(described: OpenApiSchema) -> None:
    assert {operation.path.strip("/") for operation in operations(described)} >= set(METHODS)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_as_described(
    described: OpenApiSchema, mode: GenerationMode, record_property: Callable[[str, object], None]
) -> None:
    count = 0

    for operation in operations(described):

        @settings(max_examples=EACH, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def one(case: schemathesis.Case) -> None:
            nonlocal count
            count += 1
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        one()
    record_property(PROPERTY, f"{count:,} cases")
