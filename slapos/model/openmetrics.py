"""The text of metrics that monitoring systems read.

Source: the OpenMetrics specification 1.0, "Text format": https://prometheus.io/docs/specs/om/open_metrics_spec/.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


class Type(StrEnum):
    """What a family measures.  The value of a sample of ``INFO`` is 1: its labels are what it says."""

    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"


_SUFFIXES = {Type.GAUGE: "", Type.COUNTER: "_total", Type.INFO: "_info"}


@dataclass
class Family:
    """Samples of one name.  ``unit``, when there is one, is the end of the name; ``help`` one sentence.

    The suffix of a type (``_total``) is added when it is written.
    """

    name: str
    type: Type
    help: str
    unit: str = ""
    samples: list[tuple[Mapping[str, str], float]] = field(default_factory=list)

    def add(self, value: float, **labels: str) -> None:
        """One more sample."""
        self.samples.append((labels, value))


def write_metrics(families: Iterable[Family]) -> str:
    """The exposition, with its end mark; families without a sample are left out."""
    lines = [line for family in families if family.samples for line in _lines(family)]
    return "\n".join([*lines, "# EOF\n"])


def _lines(family: Family) -> Iterator[str]:
    yield f"# TYPE {family.name} {family.type}"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}"
    yield f"# HELP {family.name} {family.help.translate(_ESCAPES)}"
    name = family.name + _SUFFIXES[family.type]
    for labels, value in family.samples:
        pairs = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels.items())
        yield f"{name}{{{pairs}}} {_number(value)}" if pairs else f"{name} {_number(value)}"


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) else repr(float(value))
