"""Who stands behind a request, and as whom he acts.

Over TLS the certificate decides; the header ``Authorization: X-SlapPartition computer_id=…, computer_partition_id=…``
is a claim that must not contradict it.  On the insecure legacy listener everybody is what he claims to be: the node
that the request names, the instance in the partition that it names, and else the person ``legacy``; all of them in
the project ``legacy`` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from slapos.master.peer import is_legacy, peer_of
from slapos.model.errors import InputError
from slapos.model.principal import Principal
from slapos.model.states import PrincipalKind, Role
from slapos.pki.certificates import CertificateInfo

LEGACY_PROJECT = "legacy"
LEGACY_PERSON = Principal(PrincipalKind.USER, "legacy", {LEGACY_PROJECT: Role.OWNER})
_SCHEME = "x-slappartition"


@dataclass(frozen=True)
class Caller:
    """What is known before anything was looked up.  ``claim``: (node, partition) of the header."""

    peer: CertificateInfo | None = None
    legacy: bool = False
    claim: tuple[str, str] | None = None


class Acting(StrEnum):
    """As whom an endpoint is called."""

    PERSON = "person"
    NODE = "node"
    PARTITION = "partition"  # the instance that lives there; a person where no partition is named


@dataclass(frozen=True)
class Place:
    """What a request names as its own: a node, one of its partitions, or an instance by its guid."""

    node: str = ""
    partition: str = ""
    guid: str = ""


@dataclass(frozen=True)
class Asking:
    """A caller, as whom he acts, and where he says to be.  ``anonymous``: who he is does not matter."""

    caller: Caller
    acting: Acting = Acting.PERSON
    place: Place = Place()
    anonymous: bool = False


def caller_of(scope: Any, headers: Mapping[str, str]) -> Caller:
    """The caller of a request; :class:`InputError` for a claim that cannot be read."""
    return Caller(peer_of(scope), is_legacy(scope), claim_of(headers.get("Authorization", "")))


def claim_of(header: str) -> tuple[str, str] | None:
    """(node, partition) of an ``Authorization`` header; None when it is of another scheme."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() != _SCHEME:
        return None
    pairs = dict(_pair(part) for part in rest.split(","))
    if set(pairs) != {"computer_id", "computer_partition_id"} or not all(pairs.values()):
        raise _unreadable()
    return pairs["computer_id"], pairs["computer_partition_id"]


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise _unreadable()
    return name.strip(), value.strip()


def _unreadable() -> InputError:
    return InputError(
        "Authorization: X-SlapPartition computer_id=<node>, computer_partition_id=<partition> is expected.",
        reference="invalid-claim",
        context={"field": "Authorization"},
        hint="Leave the header out to ask as yourself.",
    )
