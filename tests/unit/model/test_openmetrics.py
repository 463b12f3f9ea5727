"""The exposition, judged by the parser of the project that wrote the specification."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from slapos.model.openmetrics import Family, Type, write_metrics

LABELS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(LABELS, LABELS, st.floats(allow_nan=False), st.floats(0, allow_infinity=False))
def test_every_label_and_value_comes_back(one: str, other: str, value: float, count: float) -> None:
    gauge = Family("hox_disk_bytes", Type.GAUGE, f"Said of it: {other}", "bytes")
    gauge.add(value, first=one, second=other)
    gauge.add(1, first=one, second=other + "2")
    counter = Family("hox_rounds", Type.COUNTER, "Rounds.")
    counter.add(count)
    info = Family("hox_node", Type.INFO, "The node.")
    info.add(1, title=one)
    read = {family.name: family for family in parse(write_metrics([gauge, counter, info]))}
    assert read["hox_disk_bytes"].unit == "bytes"
    assert read["hox_disk_bytes"].documentation == f"Said of it: {other}"
    first = read["hox_disk_bytes"].samples[0]
    assert (first.labels, first.value) == ({"first": one, "second": other}, value)
    assert [(item.name, item.value) for item in read["hox_rounds"].samples] == [("hox_rounds_total", count)]
    assert [(item.name, item.labels) for item in read["hox_node"].samples] == [("hox_node_info", {"title": one})]


def test_families_without_samples_are_left_out() -> None:
    assert list(parse(write_metrics([Family("hox_nothing", Type.GAUGE, "Nothing.")]))) == []


def test_values_that_are_no_numbers_of_the_field() -> None:
    family = Family("hox_odd", Type.GAUGE, "Odd.")
    for index, value in enumerate((math.inf, -math.inf, math.nan, True)):
        family.add(value, index=str(index))
    (read,) = parse(write_metrics([family]))
    values = [sample.value for sample in read.samples]
    assert values[:2] == [math.inf, -math.inf]
    assert math.isnan(values[2])
    assert values[3] == 1
