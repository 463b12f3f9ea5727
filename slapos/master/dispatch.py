"""From the bytes of a message to the bytes of its answer: identify, check, one transaction, serialise.

Nothing here waits for the disk or for others on the event loop (:mod:`slapos.master.desk`).  Who asks is read in the
same transaction as what is asked, so a revocation acts at the next request, also on a connection already open.
"""

from __future__ import annotations

import hashlib
import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from slapos.master.calls import Answer, Call, Key, Preparation, Route, Routes, Tools, check_key
from slapos.master.desk import Done, ToWrite
from slapos.master.field.caller import Asking, Caller, Place
from slapos.master.field.identification import believed, proven
from slapos.master.field.own_names import with_known_nodes
from slapos.master.presence import Presence
from slapos.master.recent import Recent
from slapos.master.services import idempotency, identities
from slapos.master.storage.blocking import may_block
from slapos.master.storage.database import Storage
from slapos.master.storage.transaction import Transaction, WouldWrite
from slapos.model.errors import Conflict, NotFound, Unauthenticated
from slapos.model.principal import ANYONE, Principal
from slapos.model.states import PrincipalKind
from slapos.pki.certificates import CertificateInfo
from slapos.wire import messages, strict_json
from slapos.wire.messages import Method
from slapos.wire.openapi import Operation

T = TypeVar("T")
BRIEF_BYTES = 64 * 1024  # of a message; longer ones are read in a thread


@dataclass(frozen=True)
class Envelope:
    """One request as it came."""

    method: Method
    body: bytes
    caller: Caller
    key: str | None = None
    base: str = ""  # the address at which the client reached us


class Dispatcher:
    """Serves the methods of ``routes``.  Thread-safe."""

    def __init__(
        self,
        *,
        storage: Storage,
        tools: Tools,
        routes: Routes,
        presence: Presence,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.storage = storage
        self.tools = tools
        self.recent = Recent()
        self._routes = routes
        self._presence = presence
        self._clock = clock

    def find(self, name: str) -> tuple[Method, Route]:
        """The method and how it is served; NotFound ``unknown-method``."""
        if name not in messages.METHODS or name not in self._routes:
            raise NotFound(
                f"There is no method {name[:100]!r}.",
                reference="unknown-method",
                context={"method": name[:100]},
                hint="GET / lists the methods.",
            )
        return messages.METHODS[name], self._routes[name]

    def operations(self) -> list[Operation]:
        """Every method as it is served, for the OpenAPI document."""
        return [
            Operation(
                method=messages.METHODS[name],
                summary=inspect.getdoc(route.endpoint) or name,
                anonymous=route.anonymous,
                pending=route.pending,
                keyed=route.remembered and (messages.METHODS[name].writes or route.writes),
            )
            for name, route in sorted(self._routes.items())
            if name in messages.METHODS
        ]

    def begin(self, envelope: Envelope) -> Done[Answer] | ToWrite[Answer]:
        """The answer, or what is to be written for it; any :class:`HyperopenxError` is for the one who asked."""
        method, route = envelope.method, self._routes[envelope.method.name]
        writes = method.writes or route.writes
        if len(envelope.body) > BRIEF_BYTES or not (writes or route.brief):
            may_block()
        message: Mapping[str, Any] = strict_json.loads_object(envelope.body, limit=self.tools.config.message_limit)
        messages.check_request(method, message)
        if envelope.caller.legacy:
            message = with_known_nodes(self.storage, message)
        asking = _asking(envelope.caller, route, message)
        prepared = None
        if route.prepare is not None:
            prepared = route.prepare(Preparation(message, lambda fn: self.read(asking, fn), self.tools))

        def act(tx: Transaction, principal: Principal) -> Answer:
            now = self._clock()
            return route.endpoint(Call(tx, principal, message, now, self.tools, prepared, envelope.base))

        if not writes:
            return Done(self.read(asking, act))
        if route.repeated and envelope.key is None and self.recent.came_before(method.name, envelope.body):
            unchanged = self.read_unchanged(asking, act)
            if unchanged is not None:
                return Done(unchanged)
        return self._to_write(envelope, asking, act)

    def read(self, asking: Asking, function: Callable[[Transaction, Principal], T]) -> T:
        """``function`` in one reading transaction with who asks; raises when his certificate counts no longer."""
        return self.storage.read(lambda tx: function(tx, self.identify(tx, asking)))

    def read_unchanged(self, asking: Asking, function: Callable[[Transaction, Principal], T]) -> T | None:
        """The result of a ``function`` that writes, when it finds that there is nothing to change; None else."""
        try:
            return self.read(asking, function)
        except WouldWrite:
            return None

    def write(self, asking: Asking, function: Callable[[Transaction, Principal], T]) -> T:
        """The same in one writing transaction."""
        return self.storage.write(lambda tx: function(tx, self.identify(tx, asking)))

    def _to_write(
        self, envelope: Envelope, asking: Asking, act: Callable[[Transaction, Principal], Answer]
    ) -> ToWrite[Answer]:
        if envelope.key is None or not self._routes[envelope.method.name].remembered:
            return ToWrite(lambda tx: act(tx, self.identify(tx, asking)))
        digest = hashlib.sha256(envelope.method.name.encode() + b"\n" + envelope.body).hexdigest()
        key = Key(check_key(envelope.key), digest)

        def once(tx: Transaction) -> Answer:
            principal = self.identify(tx, asking)
            found = idempotency.remembered(tx, principal, key.value)
            if found is not None:
                return _repeated(found, key)
            answer = act(tx, principal)
            kept = {"digest": key.digest, "status": answer.status, "body": answer.body}
            idempotency.remember(tx, principal, key.value, kept, now=self._clock())
            return answer

        return ToWrite(once)

    def identify(self, tx: Transaction, asking: Asking) -> Principal:
        """Who asks, as whom he acts; :class:`Unauthenticated` for nobody, and when his certificate counts no longer."""
        if asking.anonymous:
            return ANYONE
        if asking.caller.legacy:
            principal = believed(tx, asking)
        else:
            principal = proven(tx, self._certified(tx, asking.caller.peer), asking)
        if principal.kind is PrincipalKind.NODE:
            self._presence.mark(principal.reference)
        return principal

    def _certified(self, tx: Transaction, peer: CertificateInfo | None) -> Principal:
        if peer is None:
            raise Unauthenticated(
                "Nobody proved who asks: this method wants a client certificate.",
                hint="Use a client certificate of this master; `slapos up` makes the first one.",
            )
        now = self._clock()
        if now > peer.not_after:
            raise Unauthenticated(
                f"The certificate of {peer.reference} has expired.",
                reference="certificate-expired",
                context={"serial": peer.serial, "reference": peer.reference},
                hint="Renew it: certificate_renewal accepts it for a year.",
            )
        return identities.principal_of_certificate(tx, peer.serial, _kind(peer.kind), peer.reference, now)


def checked(method: Method, answer: Answer) -> Answer:
    """``answer``, once it is sure that strict readers accept it."""
    if method.of_field:
        messages.check_answer(method, answer.body)
    return answer


def _asking(caller: Caller, route: Route, message: Mapping[str, Any]) -> Asking:
    node, guid = message.get("computer_guid", ""), message.get("instance_guid", "")
    return Asking(caller, route.acts, Place(node=node, guid=guid), route.anonymous)


def _kind(text: str) -> PrincipalKind:
    try:
        return PrincipalKind(text)
    except ValueError as error:
        raise Unauthenticated(
            f"The certificate names the unknown kind {text!r}.", reference="certificate-unknown"
        ) from error


def _repeated(found: Mapping[str, Any], key: Key) -> Answer:
    if found["digest"] != key.digest:
        raise Conflict(
            "This Idempotency-Key was used with another message.",
            reference="idempotency-key-reused",
            context={"field": "Idempotency-Key"},
            hint="Use a new key for each new message.",
        )
    return Answer(dict(found["body"]), int(found["status"]))
