"""``hyperopenx.*`` methods of usage reports."""

from __future__ import annotations

import dataclasses

from slapos.master.calls import Answer, Call, Route, Routes
from slapos.master.services import usage
from slapos.model.objects import DEFAULT_PROJECT


def post_usage(call: Call) -> Answer:
    """Deliver a document once."""
    node, identifier, document = (call.text(name) for name in ("computer_guid", "identifier", "document"))
    delivered = usage.deliver(call.tx, call.principal, node, identifier, document, call.now)
    return Answer({"delivered": delivered})


def list_usage(call: Call) -> Answer:
    """The documents of a project."""
    project = call.text("project") or DEFAULT_PROJECT
    since, limit = int(call.message.get("since", 0)), int(call.message.get("limit", 100))
    found = usage.list_usage(call.tx, call.principal, project, since, limit)
    return Answer({"result_list": [dataclasses.asdict(report) for report in found]})


ROUTES: Routes = {
    "hyperopenx.post.v0.usage": Route(post_usage),
    "hyperopenx.allDocs.v0.usage_list": Route(list_usage),
}
