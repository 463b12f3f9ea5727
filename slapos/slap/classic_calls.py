"""The calls below the classic objects: our client, with the exceptions that scripts catch (spec/01 §2.1)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import requests

from slapos.model.errors import HyperopenxError, NotFound, NotReady, Unavailable
from slapos.slap.exception import ConnectionError, NotFoundError, ResourceNotReady, ServerError
from slapos.slap.field_client import FieldClient

CA_VARIABLE = "SLAPOS_MASTER_CA_FILE"
CA_NAME = "ca.pem"
_SERVER_ERRORS = frozenset({500, 502, 503, 520, 523, 524, 526})

T = TypeVar("T")


class ClassicCalls:
    """One connection of the classic library."""

    def __init__(
        self,
        *,
        master_url: str,
        key_file: str | None,
        cert_file: str | None,
        ca_file: str | None,
        timeout: float,
    ) -> None:
        self.client = FieldClient(
            master_url=master_url,
            key_file=key_file or "",
            cert_file=cert_file or "",
            ca_file=ca_file or known_authority(cert_file or ""),
            timeout=timeout,
        )

    def read(self, endpoint: str, **arguments: str) -> Any:
        """GET of a marshalled value."""
        return translated(endpoint, arguments, lambda: self.client.read(endpoint, **arguments))

    def text(self, endpoint: str) -> str:
        """GET of a text."""
        return translated(endpoint, {}, lambda: self.client.text(endpoint))

    def post(self, endpoint: str, fields: Mapping[str, str | None], partition: tuple[str, str] | None = None) -> Any:
        """POST of a form."""
        return translated(endpoint, {}, lambda: self.client.post(endpoint, fields, partition=partition))


def known_authority(cert_file: str) -> str:
    """The authority of the master where a script names none, as those of the field do: the file that
    ``SLAPOS_MASTER_CA_FILE`` names, ``ca.pem`` beside the client's certificate; empty: what the system trusts."""
    named = os.environ.get(CA_VARIABLE, "")
    beside = os.path.join(os.path.dirname(os.path.abspath(cert_file)), CA_NAME) if cert_file else ""
    return named or (beside if os.path.isfile(beside) else "")


def translated(endpoint: str, arguments: Mapping[str, str], call: Callable[[], T]) -> T:
    """What ``call`` returns; its errors as exceptions of the field."""
    try:
        return call()
    except HyperopenxError as error:
        raise classic_error(error, endpoint, arguments) from error


def classic_error(error: HyperopenxError, endpoint: str, arguments: Mapping[str, str]) -> Exception:
    """The exception that the field's library raises for what our client says."""
    status = error.context.get("status")
    if isinstance(error, NotFound):
        return NotFoundError(f"{error.context.get('address', endpoint)} {dict(arguments)!r}")
    if isinstance(error, NotReady):
        return ResourceNotReady(endpoint)
    if status in _SERVER_ERRORS or error.reference == "invalid-answer":
        return ServerError(str(error))
    if status:
        return _http_error(error, int(status))
    if status == 0 or isinstance(error, Unavailable):
        return ConnectionError(f"{error} {error.hint}".strip())
    return error


def _http_error(error: HyperopenxError, status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    response.url = str(error.context.get("address", ""))
    response._content = str(error.context.get("body", "")).encode()
    response.encoding = "utf-8"
    return requests.HTTPError(f"{status} {error}", response=response)
