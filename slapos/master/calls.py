"""What an endpoint is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from slapos.master.config import MasterConfig
from slapos.master.field.caller import Acting
from slapos.master.field.memory import PartitionMemory
from slapos.master.forwarding.forwarder import Forwarder
from slapos.master.storage.transaction import Transaction
from slapos.model.errors import InputError
from slapos.model.principal import Principal
from slapos.pki.authority import Authority
from slapos.schema.fetch import Fetch
from slapos.schema.memory import SchemaMemory


@dataclass(frozen=True)
class Tools:
    """What endpoints need beside the database."""

    config: MasterConfig
    authority: Authority
    fetch: Fetch
    forwarder: Forwarder
    schemas: SchemaMemory = field(default_factory=SchemaMemory)
    partitions: PartitionMemory = field(default_factory=PartitionMemory)


@dataclass(frozen=True)
class Call:
    """One call of one method, inside its transaction; ``message`` was checked against the method's schema.

    ``prepared`` is what the route's preparation found.  ``now`` is UTC epoch seconds.  ``base`` is the address at which
    the client reached us, with a slash at its end.
    """

    tx: Transaction
    principal: Principal
    message: Mapping[str, Any]
    now: float
    tools: Tools
    prepared: Any = None
    base: str = ""

    def text(self, name: str) -> str:
        """A text member, "" when it is absent."""
        return str(self.message.get(name, ""))


@dataclass(frozen=True)
class Answer:
    """The body and the HTTP status."""

    body: dict[str, Any]
    status: int = 200


@dataclass(frozen=True)
class Preparation:
    """One call before its transaction: for what must not happen inside one, such as fetching a document."""

    message: Mapping[str, Any]
    read: Callable[[Callable[[Transaction, Principal], Any]], Any]
    tools: Tools


@dataclass(frozen=True)
class Route:
    """How a method is served.

    ``anonymous``: also for who proved nothing.  ``writes``: in a writing transaction though its name does not say so.
    ``remembered``: the answer is kept for a repetition with the same idempotency key.  ``pending``: it answers 202
    while what was asked for cannot be served.  ``prepare`` runs first, outside the transaction.  ``fences``: afterwards
    every event stream checks again whether its client may still listen.  ``acts``: as whom a caller on the legacy
    listener is believed to act, who has no certificate that says so.  ``brief``: a reading so short that the event
    loop can do it, or one that says itself when it may block.  ``repeated``: clients ask for the same again and
    again, so a message that came before is tried as a reading first, and written only when something would change.
    """

    endpoint: Callable[[Call], Answer]
    anonymous: bool = False
    writes: bool = False
    remembered: bool = True
    fences: bool = False
    pending: bool = False
    acts: Acting = Acting.PERSON
    brief: bool = False
    repeated: bool = False
    prepare: Callable[[Preparation], Any] | None = None


Routes = Mapping[str, Route]


@dataclass(frozen=True)
class Key:
    """An idempotency key as sent, and the digest of the message that it came with."""

    value: str
    digest: str
    method: str = field(default="")


def check_key(value: str) -> str:
    """:class:`InputError` for an ``Idempotency-Key`` that is not 1 to 200 printable ASCII characters."""
    if not 1 <= len(value) <= 200 or not value.isascii() or not value.isprintable():
        raise InputError(
            "Idempotency-Key: 1 to 200 printable ASCII characters are expected.",
            reference="invalid-idempotency-key",
            context={"field": "Idempotency-Key"},
            hint="Use a random text, for example a UUID.",
        )
    return value
