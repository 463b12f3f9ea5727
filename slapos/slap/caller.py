"""One call of a method of the master: encode, send, try again, decode or raise."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import quote

from slapos.model.errors import HyperopenxError, Unavailable
from slapos.slap.config import ClientConfig
from slapos.slap.events import SILENCE_SECONDS, ServerEvent, parse
from slapos.slap.retry import Patience, backoff, delays
from slapos.slap.transport import HttpsTransport, Request, Transport
from slapos.wire import problems, strict_json

READING = ("get", "allDocs")
RECONNECT = Patience(first=0.5, longest=30.0)


class Caller:
    """Calls methods by name.  Thread-safe; connections are pooled.

    A write carries an ``Idempotency-Key``, the same at each try, so the master acts once however often it is sent.
    """

    def __init__(
        self,
        *,
        master_url: str,
        cert_file: str = "",
        key_file: str = "",
        ca_file: str = "",
        timeout: float = 60.0,
        patience: float | Patience = 20.0,
    ) -> None:
        self.master_url = master_url.rstrip("/")
        self.listening = False
        self._timeout = timeout
        self._patience = patience if isinstance(patience, Patience) else Patience(total=patience)
        self._transport: Transport = HttpsTransport(cert_file=cert_file, key_file=key_file, ca_file=ca_file)

    @classmethod
    def over(cls, transport: Transport, master_url: str = "https://master", patience: float | Patience = 20.0) -> Self:
        """A caller that sends through ``transport``: an in-process server, or one that breaks on purpose."""
        caller = cls(master_url=master_url, patience=patience)
        caller._transport = transport
        return caller

    @classmethod
    def from_config(cls, config: ClientConfig, *, timeout: float = 60.0, patience: float = 20.0) -> Self:
        """A caller for a loaded configuration."""
        return cls(
            master_url=config.master_url,
            cert_file=config.cert_file,
            key_file=config.key_file,
            ca_file=config.ca_file,
            timeout=timeout,
            patience=patience,
        )

    def call(self, method: str, message: Mapping[str, Any], idempotency_key: str | None = None) -> dict[str, Any]:
        """The answer of ``method``; errors of the master are raised as they were raised there.

        :class:`Unavailable` (address, tries, how to check) when no answer came within the patience of this caller.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if method.split(".")[1:2] not in ([verb] for verb in READING):
            headers["Idempotency-Key"] = idempotency_key or secrets.token_hex(16)
        url = f"{self.master_url}/{method}"
        request = Request("POST", url, headers, strict_json.dumps(message), self._timeout)
        started, tries = time.monotonic(), 1
        waits = delays(self._patience)
        while True:
            try:
                return self._once(request, method)
            except Unavailable as error:
                wait = next(waits, None)
                if wait is None:
                    error.context |= {"tries": tries, "seconds": round(time.monotonic() - started, 1)}
                    raise
                time.sleep(wait)
                tries += 1

    def text(self, path: str) -> str:
        """The body of ``GET <master_url>/<path>``, for ``healthz`` and ``ca.pem``; not tried again."""
        status, body = self._exchange(Request("GET", f"{self.master_url}/{path}", read_seconds=self._timeout))
        if status != 200:
            raise problems.from_answer(status, _decoded(body), f"GET {path}")
        return body.decode("utf-8", "replace")

    def events(
        self, subject: str, last_id: int | None = None, stop: threading.Event | None = None
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """``(generation, data)`` whenever something of ``subject`` changed; reconnects for ever, with jitter.

        ``data["event"]`` is ``changed``, or ``reset`` when changes may have been missed: look at everything.
        After each reconnection ``reset`` comes unless the master knows that nothing was missed.  Ends when ``stop``
        is set (seen at least at each heartbeat, 15 s).  Refusals (401, 403, 404) are raised.
        """
        stop = stop or threading.Event()
        waits = backoff(RECONNECT)
        while not stop.is_set():
            try:
                for event in self._stream(subject, last_id):
                    waits = backoff(RECONNECT)
                    if stop.is_set():
                        return
                    if event is not None:
                        last_id = event.number
                        yield event.number, {"event": event.kind, **event.data}
            except Unavailable:
                pass  # the wait below, then again: the master will be back
            stop.wait(next(waits))

    def close(self) -> None:
        """Close the pool of connections."""
        close = getattr(self._transport, "close", None)
        if close is not None:
            close()

    def _stream(self, subject: str, last_id: int | None) -> Iterator[ServerEvent | None]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if last_id is not None:
            headers["Last-Event-ID"] = str(last_id)
        url = f"{self.master_url}/events?subject={quote(subject, safe='')}"
        reply = self._transport.send(Request("GET", url, headers, b"", SILENCE_SECONDS, stream=True))
        try:
            if reply.status != 200:
                raise problems.from_answer(reply.status, _decoded(b"".join(reply.chunks())), "GET events")
            self.listening = True
            yield from parse(reply.chunks())
        finally:
            self.listening = False
            reply.close()

    def _once(self, request: Request, method: str) -> dict[str, Any]:
        status, body = self._exchange(request)
        decoded = _decoded(body)
        if status in (200, 202) and isinstance(decoded, dict):
            return decoded
        error: HyperopenxError = problems.from_answer(status, decoded, f"{self.master_url}/{method}")
        raise error

    def _exchange(self, request: Request) -> tuple[int, bytes]:
        reply = self._transport.send(request)
        try:
            return reply.status, b"".join(reply.chunks())
        finally:
            reply.close()


def _decoded(body: bytes) -> Any:
    """The JSON value of a body, None when it is none: a proxy in between may answer anything."""
    try:
        return strict_json.loads(body)
    except HyperopenxError:
        return None
