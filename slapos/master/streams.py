"""``GET /events?subject=…``: server-sent events of one node, instance or project.

A stream ends when the server stops, when the certificate expires or is revoked, and when the right to see the subject
is lost; whether it is still there is looked up at each wake-up and each heartbeat.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from slapos.master.authorization import Action, Subject, check
from slapos.master.dispatch import Dispatcher
from slapos.master.field.caller import Asking, Caller, caller_of
from slapos.master.hub import PROJECT, Hub, Notice, Watch
from slapos.master.services import access
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import HyperopenxError, InputError
from slapos.model.principal import Principal

HEARTBEAT_SECONDS = 15.0
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Streams:
    """Opens and feeds the streams."""

    def __init__(self, *, dispatcher: Dispatcher, hub: Hub, pool: ThreadPoolExecutor) -> None:
        self._dispatcher = dispatcher
        self._hub = hub
        self._pool = pool

    async def open(self, request: Request) -> Response:
        """The stream, once the right to see the subject is sure."""
        subject = request.query_params.get("subject", "")
        if not 1 <= len(subject) <= 300:
            raise InputError("subject: missing.", reference="invalid-message", context={"field": "subject"})
        caller = caller_of(request.scope, request.headers)
        await self._check(caller, subject)
        number = request.headers.get("Last-Event-ID", "")
        watch = self._hub.watch(subject, int(number) if number.isdecimal() and len(number) < 19 else None)
        return StreamingResponse(self._feed(watch, caller), headers=HEADERS, media_type="text/event-stream")

    async def _feed(self, watch: Watch, caller: Caller) -> AsyncIterator[bytes]:
        try:
            yield b": hyperopenx\n\n"
            while not self._hub.closed:
                notice = self._hub.take(watch)
                if notice is not None:
                    yield _encode(watch.subject, notice)
                    continue
                heartbeat = await self._wait(watch, caller)
                if self._hub.closed or not await self._allowed(caller, watch.subject):
                    return
                if heartbeat:
                    yield b":\n\n"
        finally:
            self._hub.leave(watch)

    async def _wait(self, watch: Watch, caller: Caller) -> bool:
        """Until woken or the next heartbeat is due; whether it was the heartbeat."""
        peer = caller.peer
        left = HEARTBEAT_SECONDS if peer is None else min(HEARTBEAT_SECONDS, max(0.0, peer.not_after - time.time()))
        try:
            async with asyncio.timeout(left):
                await watch.woken.wait()
        except TimeoutError:
            return True
        return False

    async def _allowed(self, caller: Caller, subject: str) -> bool:
        try:
            await self._check(caller, subject)
        except HyperopenxError:
            return False
        return True

    async def _check(self, caller: Caller, subject: str) -> None:
        def look(tx: Transaction, principal: Principal) -> None:
            _check_subject(tx, principal, subject)

        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._pool, self._dispatcher.read, Asking(caller), look)


def _check_subject(tx: Transaction, principal: Principal, subject: str) -> None:
    if subject.startswith(PROJECT):
        check(principal, Action.PROJECT_READ, Subject(project=subject.removeprefix(PROJECT)))
    else:
        access.check_subject(tx, principal, subject)


def _encode(subject: str, notice: Notice) -> bytes:
    data = json.dumps({"subject": subject, "generation": notice.generation})
    return f"id: {notice.generation}\nevent: {notice.kind}\ndata: {data}\n\n".encode()
