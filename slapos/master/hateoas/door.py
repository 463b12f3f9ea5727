"""``GET /hateoas/…`` and ``GET /getHateoasUrl``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from slapos.master.answers import to_response
from slapos.master.calls import Answer
from slapos.master.dispatch import Dispatcher
from slapos.master.field.caller import Asking, caller_of
from slapos.master.hateoas import documents, lookup
from slapos.master.hateoas.address import hateoas_url
from slapos.master.hateoas.queries import parse_query
from slapos.master.services import identities
from slapos.master.services.identities import Enrolment
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import InputError, NotFound
from slapos.model.principal import Principal
from slapos.model.states import PrincipalKind
from slapos.model.text import check_text
from slapos.pki.tokens import token_text

Look = Callable[[Transaction, Principal], dict[str, Any]]
TOKEN_PATH = "computer_module/Base_getComputerToken"
SELECTED = ("title", "relative_url", "reference", "portal_type")


class Hateoas:
    """The dialect of listings, for persons."""

    def __init__(self, *, dispatcher: Dispatcher, pool: ThreadPoolExecutor) -> None:
        self._dispatcher = dispatcher
        self._pool = pool

    async def url(self, request: Request) -> Response:
        """Where it begins, as plain text."""
        return PlainTextResponse(hateoas_url(request.scope, self._dispatcher.tools.config))

    async def document(self, request: Request) -> Response:
        """The first document, a search, or an object; and a token for a node, which one path makes."""
        if request.path_params["rest"].strip("/") == TOKEN_PATH:
            return await self._token(request)
        asking, look = Asking(caller_of(request.scope, request.headers)), self._look(request)
        loop = asyncio.get_running_loop()
        body = await loop.run_in_executor(self._pool, self._dispatcher.read, asking, look)
        return to_response(Answer(body))

    async def _token(self, request: Request) -> Response:
        """For `slapos node register` of the field: so with keys made here.  Whoever may make tokens may ask."""
        dispatcher, asking = self._dispatcher, Asking(caller_of(request.scope, request.headers))
        wanted = Enrolment(PrincipalKind.NODE, legacy_keys=True)

        def write(tx: Transaction, principal: Principal) -> str:
            return identities.create_token(tx, principal, wanted, time.time())

        secret = await asyncio.get_running_loop().run_in_executor(self._pool, dispatcher.write, asking, write)
        return to_response(Answer({"access_token": token_text(secret, dispatcher.tools.authority.ca_pem)}))

    def _look(self, request: Request) -> Look:
        base, asked = hateoas_url(request.scope, self._dispatcher.tools.config), request.query_params
        path, mode, now = request.path_params["rest"].strip("/"), asked.get("mode", ""), time.time()
        if path:
            raise NotFound(f"There is nothing at {path[:200]!r}.", reference="no-such-document")
        if mode in ("", "root"):
            return lambda tx, principal: documents.root(base, principal)
        if mode == "search":
            query = parse_query(check_text("query", asked.get("query", "")))
            lists = [name for text in asked.getlist("select_list") for name in text.split(",") if name]
            return lambda tx, principal: documents.found(lookup.search(tx, principal, query, now), lists or SELECTED)
        if mode == "traverse":
            url = check_text("relative_url", asked.get("relative_url", "")).strip("/")
            return lambda tx, principal: documents.document(lookup.traverse(tx, principal, url, now), base, url)
        raise InputError(f"mode: {mode[:100]!r} is neither search nor traverse.", context={"field": "mode"})
