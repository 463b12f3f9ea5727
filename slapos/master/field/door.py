"""From an HTTP request to the answer of an endpoint of the XML dialect."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from slapos.master.calls import Call, Preparation
from slapos.master.desk import Desk, Done, ToWrite
from slapos.master.dispatch import BRIEF_BYTES, Dispatcher
from slapos.master.field.answers import Encoded, encoded, to_response
from slapos.master.field.caller import LEGACY_PERSON, LEGACY_PROJECT, Asking, Caller, caller_of
from slapos.master.field.identification import legacy_node
from slapos.master.field.routes import FieldAnswer, FieldRoute, parse
from slapos.master.hateoas.address import base_url
from slapos.master.services import joining
from slapos.master.storage.blocking import may_block
from slapos.master.storage.identities import node_number
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import InputError, NotFound
from slapos.model.principal import Principal

FORM = "application/x-www-form-urlencoded"
LARGE = 64 * 1024  # bytes; more is read for proven callers only
REMEMBERED = 2_048  # messages that come again and again, read once …
REMEMBERED_BYTES = 2_048  # … of at most so many bytes
ReadBody = Callable[[Request], Awaitable[bytes]]


class FieldDoor:
    """Serves endpoints."""

    def __init__(self, *, dispatcher: Dispatcher, desk: Desk, limit: int) -> None:
        self._dispatcher = dispatcher
        self._desk = desk
        self._limit = limit
        self._read_again = lru_cache(REMEMBERED)(self._read)

    async def answer(self, request: Request, route: FieldRoute, read_body: ReadBody) -> Response:
        """The answer; errors are the caller's to translate."""
        check_request(request, route)
        caller = caller_of(request.scope, request.headers)
        form = await read_body(request) if route.writes else request.scope["query_string"]
        base = base_url(request.scope, self._dispatcher.tools.config)
        answer = await self._desk.perform(partial(self._begin, route, caller, form, base))
        return to_response(request, answer)

    def _begin(self, route: FieldRoute, caller: Caller, form: bytes, base: str) -> Done[Encoded] | ToWrite[Encoded]:
        dispatcher = self._dispatcher
        written = route.writes or route.issues
        if len(form) > BRIEF_BYTES or not (written or route.brief):
            may_block()
        if len(form) > LARGE and not route.anonymous:
            dispatcher.read(Asking(caller), lambda tx, principal: None)
        again = route.repeated and len(form) <= REMEMBERED_BYTES
        read = self._read_again if again else self._read
        message, asking = self._understand(route, caller, read(route, form))
        prepared = None
        if route.prepare is not None:
            prepared = route.prepare(Preparation(message, lambda fn: dispatcher.read(asking, fn), dispatcher.tools))

        def act(tx: Transaction, principal: Principal) -> FieldAnswer:
            return route.endpoint(Call(tx, principal, message, time.time(), dispatcher.tools, prepared, base))

        if written:
            if route.repeated and dispatcher.recent.came_before(route.endpoint.__name__, form):
                unchanged = dispatcher.read_unchanged(asking, act)
                if unchanged is not None:
                    return Done(encoded(unchanged))
            return ToWrite(lambda tx: encoded(act(tx, dispatcher.identify(tx, asking))))
        return Done(encoded(dispatcher.read(asking, act), kept=True))

    def _read(self, route: FieldRoute, form: bytes) -> Mapping[str, Any]:
        return parse(route, form, self._limit)

    def _understand(
        self, route: FieldRoute, caller: Caller, message: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], Asking]:
        """Nodes of the legacy listener may call themselves what they want; from here on, they are ``COMP-<n>``."""
        place = route.place(message)
        node = place.node
        if caller.legacy:
            node = self._known_node(node, route.enrols) if _is_own_name(node) else node
            message = self._with_known_wish(message)
        if node or route.where is not None:
            message = {**message, route.node: node}
        return message, Asking(caller, route.acts, replace(place, node=node), route.anonymous)

    def _with_known_wish(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """The SLA of an order may name the node so, too; a name that nobody has is left to the allocation."""
        wish = message.get("filter_xml") or {}
        name = wish.get("computer_guid")
        if not isinstance(name, str) or not _is_own_name(name):
            return message
        try:
            return {**message, "filter_xml": {**wish, "computer_guid": self._known_node(name, False)}}
        except NotFound:
            return message

    def _known_node(self, name: str, enrols: bool) -> str:
        storage = self._dispatcher.storage
        try:
            return storage.read(lambda tx: legacy_node(tx, name))
        except NotFound:
            if not enrols:
                raise
        joining.check_own_name(name)
        return storage.write(lambda tx: joining.request_node(tx, LEGACY_PERSON, name, LEGACY_PROJECT, time.time()))


def _is_own_name(name: str) -> bool:
    return bool(name) and node_number(name) is None


def check_request(request: Request, route: FieldRoute) -> None:
    """The verb, and that a body is a form."""
    verb = "GET" if request.method == "HEAD" else request.method
    if verb != route.verb:
        raise InputError(f"{request.method} is not for this endpoint.", reference="wrong-http-method")
    declared = request.headers.get("Content-Type", FORM).partition(";")[0].strip().lower()
    if route.writes and declared != FORM:
        raise InputError(
            f"Content-Type: {FORM} is expected.",
            reference="unsupported-content-type",
            context={"field": "Content-Type", "value": declared[:100]},
        )
