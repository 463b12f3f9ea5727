"""Calls of the XML dialect (spec/01): one request, one answer, one error of the model; nothing is tried again.

Plain ``http://`` is possible here because existing masters offer nothing else; whoever makes a client decides whether
that is wanted.  TLS is verified, with ``ca_file`` or what the system trusts.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import importlib.metadata
import ipaddress
from collections.abc import Mapping
from email.message import Message
from typing import Any, Self
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from slapos.model import errors
from slapos.model.errors import HyperopenxError, InputError, Unavailable
from slapos.slap.transport import HttpsTransport, Reply, Request, Transport
from slapos.wire import marshal, strict_json

ANSWER_LIMIT = 256 * 1024 * 1024  # bytes; a node of 5,000 partitions has about 10 MiB
LIMITS = marshal.Limits(size=ANSWER_LIMIT)
REDIRECTS = 5
_TEXT = 2_000  # characters of an error's body that are kept
_REDIRECTING = (301, 302, 303, 307, 308)
_GONE_AWAY = (500, 502, 503, 504, 520, 523, 524, 526)
_KINDS: Mapping[int, type[HyperopenxError]] = {
    401: errors.Unauthenticated,
    403: errors.Refused,
    404: errors.NotFound,
    408: errors.NotReady,
    409: errors.Conflict,
}


class FieldClient:
    """The endpoints of a master that speaks slap.  Thread-safe; connections are pooled.

    Every error has ``context["status"]`` (0 without an answer), ``["address"]`` and ``["body"]``.
    404 is :class:`NotFound`, 408 :class:`NotReady`, 5xx and silence :class:`Unavailable`.
    """

    def __init__(
        self,
        *,
        master_url: str,
        key_file: str = "",
        cert_file: str = "",
        ca_file: str = "",
        timeout: float = 60.0,
    ) -> None:
        self.base = base_url(master_url)
        self._timeout = timeout
        self._transport: Transport = HttpsTransport(cert_file=cert_file, key_file=key_file, ca_file=ca_file)

    @classmethod
    def over(cls, transport: Transport, master_url: str = "https://master") -> Self:
        """A client that sends through ``transport``."""
        client = cls(master_url=master_url)
        client._transport = transport
        return client

    def read(self, endpoint: str, **arguments: str) -> Any:
        """GET; the value of the marshalled answer."""
        url = self._address(endpoint, arguments)
        return _loaded(url, self._get(url))

    def text(self, endpoint: str, **arguments: str) -> str:
        """GET; the answer as it is."""
        return self._get(self._address(endpoint, arguments)).decode("utf-8", "replace")

    def json(self, url: str) -> Any:
        """GET of an absolute or relative URL; the JSON of the answer."""
        address = urljoin(self.base, url)
        body = self._get(address)
        try:
            return strict_json.loads(body)
        except InputError as error:
            raise _no_answer(address, error.message) from error

    def post(self, endpoint: str, fields: Mapping[str, str | None], *, partition: tuple[str, str] | None = None) -> Any:
        """POST of a form; the value of the answer, a text where it is not marshalled.

        Fields that are None are left out.  ``partition`` (node, partition) says on whose behalf.
        """
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if partition is not None:
            node, name = partition
            headers["Authorization"] = f"X-SlapPartition computer_id={node}, computer_partition_id={name}"
        form = {name: value for name, value in fields.items() if value is not None}
        url = self._address(endpoint, {})
        body = self._exchange("POST", url, headers, urlencode(form).encode("ascii"))
        if body.lstrip().startswith(b"<marshal"):
            return _loaded(url, body)
        return body.decode("utf-8", "replace")

    def close(self) -> None:
        """Close the pool of connections."""
        close = getattr(self._transport, "close", None)
        if close is not None:
            close()

    def _address(self, endpoint: str, arguments: Mapping[str, str]) -> str:
        query = f"?{urlencode(arguments)}" if arguments else ""
        return urljoin(self.base, endpoint) + query

    def _get(self, url: str) -> bytes:
        return self._exchange("GET", url, {}, b"")

    def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
        sent = {"Accept": "*/*", "User-Agent": _user_agent(), **headers}
        for _ in range(REDIRECTS + 1):
            request = Request(method, url, sent, body, self._timeout)
            status, answer, target = self._send(request)
            if status not in _REDIRECTING or not target:
                if status >= 300:
                    raise error_of(status, url, answer)
                return answer
            url = _followed(url, target)
            if status == 303 or (method == "POST" and status in (301, 302)):
                method, body = "GET", b""
        raise _no_answer(url, "it sends us from address to address without end")

    def _send(self, request: Request) -> tuple[int, bytes, str]:
        try:
            reply = self._transport.send(request)
        except HyperopenxError as error:
            raise _silent(error, request.url) from error.__cause__
        try:
            return reply.status, _body(reply, request.url), reply.headers.get("Location", "")
        except Unavailable as error:
            raise _silent(error, request.url) from error.__cause__
        finally:
            reply.close()


def base_url(master_url: str) -> str:
    """``master_url`` as endpoints are appended to it: one ``/`` at its end, a bare IPv6 host in brackets.

    :class:`InputError` ``invalid-url`` when it is no http or https URL.
    """
    scheme, separator, rest = master_url.strip().partition("://")
    host, slash, path = rest.partition("/")
    with contextlib.suppress(ValueError):
        host = f"[{ipaddress.IPv6Address(host)}]"
    try:
        parts = urlsplit(f"{scheme}{separator}{host}{slash}{path}")
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise InputError(
            f"{master_url!r} is no http or https URL of a master.",
            reference="invalid-url",
            context={"field": "master_url", "url": master_url},
        )
    path = parts.path if parts.path.endswith("/") else f"{parts.path}/"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def error_of(status: int, url: str, body: bytes) -> HyperopenxError:
    """What an answer with ``status`` stands for."""
    said = " ".join(body.decode("utf-8", "replace").split())[:_TEXT]
    context = {"status": status, "address": url, "body": said}
    where = urlunsplit((*urlsplit(url)[:3], "", ""))
    if status in _GONE_AWAY or status > 500:
        return Unavailable(
            f"The master cannot answer {where} now (status {status}).",
            context=context,
            hint="Try again later; the log of the master says more. Some masters answer so when a name is unknown.",
        )
    kind = _KINDS.get(status, InputError)
    if kind is errors.NotReady:
        return errors.NotReady(f"{where} is accepted, not served yet.", context=context)
    plain = said.removesuffix(".") if 0 < len(said) <= 300 and not said.startswith("<") else ""
    return kind(f"{where} answered {status}{f': {plain}' if plain else ''}.", context=context)


@functools.cache
def _user_agent() -> str:
    return f"hyperopenx/{importlib.metadata.version('hyperopenx')}"


def _loaded(url: str, body: bytes) -> Any:
    try:
        return marshal.loads(body, limits=LIMITS)
    except InputError as error:
        raise _no_answer(url, error.message) from error


def _body(reply: Reply, url: str) -> bytes:
    """The whole body, as UTF-8."""
    pieces: list[bytes] = []
    size = 0
    for chunk in reply.chunks():
        size += len(chunk)
        if size > ANSWER_LIMIT:
            raise _no_answer(url, f"it is longer than {ANSWER_LIMIT} bytes")
        pieces.append(chunk)
    return _as_utf8(b"".join(pieces), reply.headers.get("Content-Type", ""), url)


def _as_utf8(body: bytes, content_type: str, url: str) -> bytes:
    message = Message()
    message["Content-Type"] = content_type
    charset = str(message.get_param("charset", "utf-8"))
    try:
        known = codecs.lookup(charset).name
        return body if known in ("utf-8", "ascii") else body.decode(known).encode()
    except (LookupError, ValueError) as error:
        raise _no_answer(url, f"it is not written in {charset}") from error


def _followed(url: str, target: str) -> str:
    """Where a redirection leads; never from TLS to plain text."""
    new = urljoin(url, target)
    if urlsplit(new).scheme not in ("https", urlsplit(url).scheme):
        raise _no_answer(url, f"it sends us to {new}, which is not protected by TLS")
    return new


def _no_answer(url: str, reason: str) -> Unavailable:
    return Unavailable(
        f"What answers at {url} is no master of the slap protocol: {reason}.",
        reference="invalid-answer",
        context={"status": 200, "address": url, "body": "", "reason": reason},
        hint="Check master_url, and what stands between.",
    )


def _silent(error: HyperopenxError, url: str) -> HyperopenxError:
    """The same, with what every error of this client has."""
    error.context = {"status": 0, "address": url, "body": ""} | error.context
    error.hint = error.hint.replace("/healthz", "/getHateoasUrl")
    return error
