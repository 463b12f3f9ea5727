"""Asking another master, in the XML dialect, which every master of the field speaks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError

from slapos.master.forwarding.objects import Asked, Served
from slapos.master.forwarding.plan import OtherMaster
from slapos.model import errors
from slapos.model.errors import HyperopenxError, NotFound, NotReady, Refused, Unauthenticated, Unavailable
from slapos.model.states import InstanceState
from slapos.model.text import printable
from slapos.slap.field_client import FieldClient
from slapos.wire import marshal, parameter_document

READ_SECONDS = 20.0
SLOTS = 16  # calls at once: one master that hangs must not hold all threads of ours
SLOT_SECONDS = 5.0
NAME_LIMIT = 200  # characters of what a node, partition or instance is called
STATUS_LIMIT = 2_000
SAID = 500  # characters of an explanation that are passed on
DESTROYED = InstanceState.DESTROYED
_ACCEPTED_KINDS = (errors.InputError, errors.NotFound, errors.Refused, errors.Conflict)


class Remote:
    """One other master.  Thread-safe."""

    def __init__(self, *, other: OtherMaster, client: FieldClient | None = None) -> None:
        self.other = other
        self._client = client or FieldClient(
            master_url=other.url, key_file=other.key, cert_file=other.cert, ca_file=other.ca, timeout=READ_SECONDS
        )
        self._slots = threading.BoundedSemaphore(SLOTS)

    def ask(self, asked: Asked) -> Served | None:
        """What is there from now on; None: accepted, but not served yet (or, when destroyed, nothing is left).

        Raises :class:`Unavailable` ``other-master-unavailable`` when there is no answer, or a defect there; otherwise
        the error with which the order was refused.
        """
        try:
            with self._slot():
                answer = self._client.post("requestComputerPartition", self._form(asked), partition=self._partition())
        except NotReady:
            return None
        except NotFound as error:
            if asked.state is DESTROYED:
                return None
            self._raise(error)
        except HyperopenxError as error:
            self._raise(error)
        return None if asked.state is DESTROYED else self._served(answer)

    def run_id(self) -> str:
        """How it names itself; empty for a full master, which does not."""
        try:
            with self._slot():
                return self._client.text("getRunId").strip()
        except HyperopenxError as error:
            if isinstance(error, NotFound) and error.context.get("status"):
                return ""
            self._raise(error)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._slots.acquire(timeout=SLOT_SECONDS):
            reason = f"{SLOTS} calls wait for it already"
            raise Unavailable(f"{self.other.name} is busy: {reason}.", context={"status": 503, "reason": reason})
        try:
            yield
        finally:
            self._slots.release()

    def _partition(self) -> tuple[str, str] | None:
        return (self.other.node, self.other.partition) if self.other.partition else None

    def _form(self, asked: Asked) -> dict[str, str | None]:
        partition = self._partition()
        return {
            "computer_id": partition[0] if partition else None,
            "computer_partition_id": partition[1] if partition else None,
            "software_release": asked.release,
            "software_type": asked.software_type,
            "partition_reference": asked.title,
            "shared_xml": marshal.dumps(asked.shared).decode(),
            "partition_parameter_xml": marshal.dumps(dict(asked.parameters)).decode(),
            "filter_xml": marshal.dumps(dict(asked.sla)).decode(),
            "state": marshal.dumps(asked.state.value).decode(),
        }

    def _served(self, answer: object) -> Served:
        state = answer.state if isinstance(answer, marshal.FieldObject) else None
        if state is None or "slap_computer_id" not in state:
            raise self._strange("it names no place")
        names = ("slap_computer_id", "slap_computer_partition_id", "_instance_guid")
        node, partition, guid = (_text(state.get(name)) for name in names)
        if max(len(node), len(partition), len(guid)) > NAME_LIMIT:
            raise self._strange(f"a name has more than {NAME_LIMIT} characters")
        # A master that serves it by itself, without any instance, names no place.
        place = (node, partition) if partition else (self.other.name.partition("://")[2], "")
        status = _text(state.get("_access_status"))[:STATUS_LIMIT]
        return Served(*place, guid, self._connection(state), status)

    def _connection(self, state: Mapping[str, Any]) -> dict[str, str]:
        found = state.get("_connection_dict")
        if not isinstance(found, Mapping):
            found = self._document(state.get("connection_xml"))
        return {_text(key): _text(value) for key, value in found.items()}

    def _document(self, document: object) -> Mapping[str, Any]:
        try:
            return parameter_document.loads(document) if isinstance(document, str) else {}
        except errors.InputError as error:
            raise self._strange(error.message) from error

    def _strange(self, reason: str) -> Unavailable:
        return Unavailable(
            f"The answer of {self.other.name} is none of a master: {reason.rstrip('.')}.",
            reference="other-master-unavailable",
            context={"master": self.other.url, "reason": reason},
            hint="Check the section of this master in master.cfg.",
        )

    def _raise(self, error: HyperopenxError) -> NoReturn:
        """Our answer: what was refused there is refused here, in the same kind, but never as if we were not known."""
        reason = str(error.context.get("reason") or error.message).rstrip(".")
        said = str(error.context.get("body", ""))
        if said and not said.startswith("<"):
            reason = said.rstrip(".")[:SAID]
        about = {"master": self.other.url, "reason": reason}
        if isinstance(error, _ACCEPTED_KINDS) and error.context.get("status"):
            kind = Refused if isinstance(error, Unauthenticated) else type(error)
            raise kind(
                f"{self.other.name}, which serves this, refuses it: {reason}.",
                context={**about, "status": error.context["status"]},
                hint="See what the operator of that master knows about it.",
            ) from error
        raise Unavailable(
            f"{self.other.name}, which serves this, does not answer: {reason}.",
            reference="other-master-unavailable",
            context={**about, "status": error.context.get("status", 0), "sent": not never_sent(error)},
            hint="Nothing was changed here. Order again when that master is back.",
        ) from error


def never_sent(error: BaseException) -> bool:
    """Whether the connection was not even opened, so that nothing can have happened there."""
    found: BaseException | None = error
    while found is not None:
        reason = getattr(found.args[0], "reason", None) if found.args and _wraps(found) else None
        if isinstance(found, requests.ConnectTimeout) or isinstance(reason, ConnectTimeoutError):
            return True
        found = found.__cause__
    return False


def _wraps(error: BaseException) -> bool:
    return isinstance(error, requests.ConnectionError) and isinstance(error.args[0], MaxRetryError)


def _text(value: object) -> str:
    """Texts as they are; what is none (spec/04 §4: such values become texts when stored) as JSON."""
    if value is None:
        return ""
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
