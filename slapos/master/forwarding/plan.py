"""Which master serves a request: this one or another.  A decision only; nothing is asked of anybody here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import urlsplit

from slapos.master.allocation.sla import FORWARDED_BY, MASTER_URL, SOURCE
from slapos.model.errors import Conflict, InputError, NotFound
from slapos.model.objects import InstanceRequest
from slapos.model.states import InstanceState
from slapos.model.text import TITLE_LIMIT

LONGEST_CHAIN = 8  # masters that a request may pass
PERSON = "user"  # who asks, in the title there, when no instance does
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class OtherMaster:
    """A section ``[multimaster/<url>]``; ValueError when that is no URL.

    ``releases`` are served there; others only when the SLA names it.  With ``node`` and ``partition`` it is asked as
    the instance that lives there, otherwise as a person, in ``project`` when that is named.
    """

    url: str
    key: str = ""
    cert: str = ""
    ca: str = ""
    releases: tuple[str, ...] = ()
    node: str = ""
    partition: str = ""
    project: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", normal_url(self.url))

    @property
    def name(self) -> str:
        """The URL as people write it, without a slash at its end."""
        return self.url.rstrip("/")


@dataclass(frozen=True)
class Ourselves:
    """How this master is recognised: its run id, and the (host, port) pairs and URLs under which it is reached."""

    run_id: str
    places: frozenset[tuple[str, int]] = field(default=frozenset())
    urls: frozenset[str] = field(default=frozenset())

    def is_at(self, url: str) -> bool:
        """Whether a normal URL leads here."""
        parts = urlsplit(url)
        return url in self.urls or (parts.path == "/" and (parts.hostname, parts.port) in self.places)


@dataclass(frozen=True)
class Standing:
    """What is known of the instance that is asked for: ``placed`` here, or ``served_by`` another master (its URL)."""

    placed: bool = False
    served_by: str = ""


def make_plan(
    request: InstanceRequest, standing: Standing, others: Sequence[OtherMaster], ourselves: Ourselves
) -> OtherMaster | None:
    """The master to which the request goes; None: it is ours.

    Raises :class:`Conflict` ``forwarding-loop`` or ``served-elsewhere``, :class:`NotFound` ``no-such-master``,
    :class:`InputError` for a ``master_url`` that is no URL.
    """
    _refuse_loop(request, ourselves)
    named = _named(request.sla)
    if standing.served_by:
        return _same_again(named, standing.served_by, others)
    if standing.placed or request.state is InstanceState.DESTROYED:
        return None
    if named:
        return None if ourselves.is_at(named) else find_master(named, others)
    return next((other for other in others if request.release in other.releases), None)


def find_master(url: str, others: Sequence[OtherMaster]) -> OtherMaster:
    """The master with this normal URL; NotFound ``no-such-master``."""
    found = next((other for other in others if other.url == url), None)
    if found is None:
        raise NotFound(
            f"sla.{MASTER_URL}: this master knows no other master {url}.",
            reference="no-such-master",
            context={"field": f"sla.{MASTER_URL}", "value": url, "known": [other.url for other in others]},
            hint=f"Leave it out, or ask the operator for a section [multimaster/{url}].",
        )
    return found


def normal_url(text: str) -> str:
    """One spelling per address: lower case, the port always, one slash at the end.  ValueError when it is no URL."""
    parts = urlsplit(text.strip())
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    if scheme not in _PORTS or not host or parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"{text[:200]!r} is no http or https URL of a master")
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{parts.port or _PORTS[scheme]}{parts.path.rstrip('/')}/"


def sla_to_send(sla: Mapping[str, str], other: OtherMaster, ourselves: Ourselves, title: str) -> dict[str, str]:
    """The SLA for the other master: what only concerned this one is left out, and this one is added to the chain."""
    sent = {key: value for key, value in sla.items() if key not in (MASTER_URL, SOURCE, "project_guid")}
    sent[FORWARDED_BY] = " ".join([*sla.get(FORWARDED_BY, "").split(), ourselves.run_id])
    if not other.partition:
        sent[SOURCE] = title
    if other.project:
        sent["project_guid"] = other.project
    return sent


def title_there(requester: str, title: str, turn: int = 0) -> str:
    """The title on the other master; ``turn``: how many were found to be those of somebody else."""
    whole = f"{requester}{f'-{turn + 1}' if turn else ''}_{title}"
    if len(whole) <= TITLE_LIMIT:
        return whole
    return f"{whole[: TITLE_LIMIT - 17]}-{sha256(whole.encode()).hexdigest()[:16]}"


def _named(sla: Mapping[str, str]) -> str:
    value = sla.get(MASTER_URL, "").strip()
    try:
        return normal_url(value) if value else ""
    except ValueError as error:
        raise InputError(
            f"sla.{MASTER_URL}: {error}.",
            reference="invalid-url",
            context={"field": f"sla.{MASTER_URL}", "value": value[:200]},
            hint="Name the other master as its section in master.cfg does.",
        ) from error


def _same_again(named: str, served_by: str, others: Sequence[OtherMaster]) -> OtherMaster:
    if named and named != served_by:
        raise Conflict(
            f"It is served by {served_by} already, so it cannot be served by {named}.",
            reference="served-elsewhere",
            context={"field": f"sla.{MASTER_URL}", "value": named, "master": served_by},
            hint="Destroy it first, or choose another title.",
        )
    return find_master(served_by, others)


def _refuse_loop(request: InstanceRequest, ourselves: Ourselves) -> None:
    chain = request.sla.get(FORWARDED_BY, "").split()
    if ourselves.run_id in chain or len(chain) >= LONGEST_CHAIN:
        raise Conflict(
            f"{request.title!r} was forwarded by this master, or by {LONGEST_CHAIN} others: it goes in a circle.",
            reference="forwarding-loop",
            context={"field": f"sla.{FORWARDED_BY}", "masters": len(chain), "release": request.release},
            hint="Let only one of the masters list the release in its [multimaster/…] section.",
        )
