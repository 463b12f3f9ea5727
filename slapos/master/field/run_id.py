"""``getRunId``: how masters that forward to each other recognise themselves."""

from __future__ import annotations

from collections.abc import Mapping

from slapos.master.calls import Call
from slapos.master.field.routes import FieldAnswer, FieldRoute, Plain


def run_id(call: Call) -> FieldAnswer:
    """The same text from every process of this master, and from no other."""
    return Plain(call.tools.forwarder.ourselves.run_id)


RUN_ID: Mapping[str, FieldRoute] = {"getRunId": FieldRoute(run_id, "GET", anonymous=True)}
