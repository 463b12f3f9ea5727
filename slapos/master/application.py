"""The HTTP application: ``POST /<method>``, ``GET /events``, ``GET /healthz``, ``GET /ca.pem``, ``GET /``.

``GET /openapi.json`` describes the methods; ``GET /hateoas/…`` and ``GET /getHateoasUrl`` serve clients of the field.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as Path
from starlette.types import ASGIApp, Receive, Scope, Send

from slapos.master.answers import to_error_response, to_response
from slapos.master.calls import Answer
from slapos.master.desk import Desk
from slapos.master.dispatch import Dispatcher, Envelope, checked
from slapos.master.field.answers import to_error_response as to_field_error_response
from slapos.master.field.caller import caller_of
from slapos.master.field.door import FieldDoor
from slapos.master.field.table import ENDPOINTS
from slapos.master.hateoas.address import base_url
from slapos.master.hateoas.door import Hateoas
from slapos.master.headers import check_headers
from slapos.master.hub import Hub
from slapos.master.persons import Persons
from slapos.master.streams import Streams
from slapos.model.errors import HyperopenxError, InputError, InternalError
from slapos.wire import messages, openapi, strict_json

logger = logging.getLogger("slapos.master")

ANY = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
BODY_SECONDS = 60.0  # for a client to send its whole message
Door = Callable[[Request], Awaitable[Response]]


class Application:
    """Binds the dispatcher to HTTP.  ``pool`` are the threads in which storage blocks."""

    def __init__(self, *, dispatcher: Dispatcher, hub: Hub, pool: ThreadPoolExecutor) -> None:
        self._dispatcher = dispatcher
        self._hub = hub
        self._pool = pool
        self._limit = dispatcher.tools.config.message_limit
        self._desk = Desk(storage=dispatcher.storage, pool=pool)
        self._field = FieldDoor(dispatcher=dispatcher, desk=self._desk, limit=self._limit)
        self._hateoas = Hateoas(dispatcher=dispatcher, pool=pool)
        self._persons = Persons(dispatcher=dispatcher, pool=pool, read_body=self._read_body)
        self._streams = Streams(dispatcher=dispatcher, hub=hub, pool=pool)

    def asgi(self, lifespan: Callable[[], AbstractAsyncContextManager[None]]) -> ASGIApp:
        """The ASGI application; ``lifespan`` surrounds its life."""

        @asynccontextmanager
        async def living(_: Starlette) -> AsyncIterator[None]:
            async with lifespan():
                yield

        paths = [
            Path("/", _door(self._index), methods=["GET"]),
            Path("/healthz", _door(self._health), methods=["GET"]),
            Path("/ca.pem", _door(self._authority), methods=["GET"]),
            Path("/openapi.json", _door(self._openapi), methods=["GET"]),
            Path("/events", _door(self._streams.open), methods=["GET"]),
            Path("/getHateoasUrl", _door(self._hateoas.url), methods=["GET"]),
            Path("/Person_getCertificate", _door(self._persons.certificate), methods=["POST"]),
            Path("/Person_requestComputer", _door(self._persons.computer), methods=["POST"]),
            Path("/hateoas{rest:path}", _door(self._hateoas.document), methods=["GET"]),
            Path("/{method:path}", _door(self._call), methods=ANY),
        ]
        others = Starlette(routes=paths, lifespan=living)
        call = _door(self._call)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            """Methods and endpoints do not pass the layers of the framework, which take longer than they do."""
            name = scope["path"][1:] if scope["type"] == "http" else ""
            if name in ENDPOINTS or name in messages.METHODS:
                scope["path_params"] = {"method": name}
                answer = await call(Request(scope, receive, send))
                await answer(scope, receive, send)
            else:
                await others(scope, receive, send)

        return app

    async def _call(self, request: Request) -> Response:
        endpoint = ENDPOINTS.get(request.path_params["method"])
        if endpoint is not None:
            answer = await self._field.answer(request, endpoint, self._read_body)
            if endpoint.fences:
                self._hub.wake_all()
            return answer
        return await self._call_method(request)

    async def _call_method(self, request: Request) -> Response:
        method, route = self._dispatcher.find(request.path_params["method"])
        check_headers(request.method, request.headers, method.name)
        body = await self._read_body(request)
        caller = caller_of(request.scope, request.headers)
        base = base_url(request.scope, self._dispatcher.tools.config)
        envelope = Envelope(method, body, caller, request.headers.get("Idempotency-Key"), base)
        answer = await self._desk.perform(partial(self._dispatcher.begin, envelope))
        if route.fences:
            self._hub.wake_all()
        return to_response(checked(method, answer))

    async def _read_body(self, request: Request) -> bytes:
        return await _read_body(request, self._limit)

    async def _index(self, request: Request) -> Response:
        """The methods, or the schemas of one."""
        if "method" in request.query_params:
            method, _ = self._dispatcher.find(request.query_params["method"])
            schemas = {"name": method.name, "request": dict(method.request), "answer": dict(method.answer)}
            return to_response(Answer(schemas))
        body = {
            "name": "Hyper Open X master",
            "methods": sorted(messages.METHODS),
            "openapi": "/openapi.json",
            "events": "/events",
            "ca": "/ca.pem",
        }
        return to_response(Answer(body))

    async def _openapi(self, request: Request) -> Response:
        url = base_url(request.scope, self._dispatcher.tools.config)
        return to_response(Answer({**self._description, "servers": [openapi.server(url)]}))

    @cached_property
    def _description(self) -> dict[str, Any]:
        """Made once, because anybody may ask for it."""
        return openapi.document(self._dispatcher.operations(), "/", version("hyperopenx"))

    async def _health(self, request: Request) -> Response:
        storage = self._dispatcher.storage
        generation = await asyncio.get_running_loop().run_in_executor(self._pool, storage.generation)
        return to_response(Answer({"status": "ok", "generation": generation}))

    async def _authority(self, request: Request) -> Response:
        return Response(self._dispatcher.tools.authority.ca_pem, media_type="application/x-pem-file")


def _door(handler: Door) -> Door:
    """The HTTP door: exceptions become answers here and nowhere else."""

    async def guarded(request: Request) -> Response:
        method = str(request.path_params.get("method", ""))
        translate = _translation(method)
        try:
            return await handler(request)
        except HyperopenxError as error:
            if isinstance(error, InternalError):
                logger.error("%s: %s", method, error, exc_info=error)
            return translate(error)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:  # the HTTP handler is one of the five doors
            logger.error("%s: a defect of the master", method, exc_info=error)
            defect = InternalError("Internal server error", hint="The log of the master says more.")
            return translate(defect)

    return guarded


def _translation(method: str) -> Callable[[HyperopenxError], Response]:
    """Errors in the dialect of what was called."""
    endpoint = ENDPOINTS.get(method)
    if endpoint is not None:
        return partial(to_field_error_response, route=endpoint)
    return partial(to_error_response, method=method)


async def _read_body(request: Request, limit: int) -> bytes:
    """The body, refused as soon as it is known to be too large."""
    declared = request.headers.get("Content-Length", "0")
    if declared.isdecimal() and int(declared) > limit:
        raise strict_json.too_large(int(declared), limit=limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise strict_json.too_large(size, limit=limit)
                chunks.append(chunk)
    except TimeoutError as error:
        raise InputError("The body did not arrive in time.", reference="too-slow", context={"field": "body"}) from error
    return b"".join(chunks)
