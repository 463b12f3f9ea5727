"""``POST /Person_requestComputer`` and ``POST /Person_getCertificate``: how tools of the field enrol (spec/01 §3.4).

``X-Access-Token`` is an enrolment token of ours, made with ``--legacy-keys``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from slapos.master import made_keys
from slapos.master.answers import to_response
from slapos.master.calls import Answer
from slapos.master.dispatch import Dispatcher
from slapos.master.peer import is_legacy
from slapos.master.services import identities
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import InputError, Refused
from slapos.model.states import PrincipalKind
from slapos.model.text import check_title
from slapos.pki.tokens import secret_of

ReadBody = Callable[[Request], Awaitable[bytes]]
FIELDS_LIMIT = 20


class Persons:
    """The two ways in; ``read_body`` bounds what is read."""

    def __init__(self, *, dispatcher: Dispatcher, pool: ThreadPoolExecutor, read_body: ReadBody) -> None:
        self._dispatcher = dispatcher
        self._pool = pool
        self._read_body = read_body

    async def certificate(self, request: Request) -> Response:
        """A person's."""
        return await self._enrol(request, PrincipalKind.USER)

    async def computer(self, request: Request) -> Response:
        """A node's; ``title`` is its name when the token does not have one."""
        return await self._enrol(request, PrincipalKind.NODE)

    async def _enrol(self, request: Request, kind: PrincipalKind) -> Response:
        if is_legacy(request.scope):
            raise Refused(
                "A private key is not sent in the clear.",
                reference="key-in-the-clear",
                hint="Use the https address of this master; on this listener, nobody needs a certificate.",
            )
        token = secret_of(request.headers.get("X-Access-Token", ""))
        title = _title(await self._read_body(request)) if kind is PrincipalKind.NODE else ""

        def write(tx: Transaction) -> made_keys.Pair:
            return self._redeem(tx, token, kind, title)

        loop = asyncio.get_running_loop()
        pair = await loop.run_in_executor(self._pool, self._dispatcher.storage.write, write)
        return to_response(Answer({"certificate": made_keys.with_dump(pair), "key": pair.key}))

    def _redeem(self, tx: Transaction, token: str, kind: PrincipalKind, title: str) -> made_keys.Pair:
        """What raises here does not use the token up."""
        now = time.time()
        wished = identities.may_make_key(tx, token)
        holder = identities.redeem_token(tx, token, now, name=title)
        if not wished or holder.kind is not kind:
            raise Refused(
                f"With this token, the master makes no key of a {kind.value}.",
                reference="token-without-key",
                context={"kind": kind.value},
                hint=f"Ask the operator for one of: slapos token {kind.value} --legacy-keys",
            )
        project = identities.project_of(tx, holder.kind, holder.reference)
        return made_keys.hand_out(tx, self._dispatcher.tools.authority, holder, project, now)


def _title(body: bytes) -> str:
    try:
        text, strict = body.decode("utf-8"), bool(body)
        fields = dict(parse_qsl(text, strict_parsing=strict, max_num_fields=FIELDS_LIMIT, errors="strict"))
    except ValueError as error:
        raise InputError(
            "The form cannot be read.", reference="invalid-form", context={"field": "body", "reason": str(error)[:200]}
        ) from error
    title = fields.get("title", "")
    return check_title("title", title) if title else ""
