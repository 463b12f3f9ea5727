"""Check that a URL answers.

Options: ``url``; ``http-code`` (200; 0: any answer), ``ignore-code`` (1: any answer), ``allow-redirects`` (1, ten at
most), ``ca-cert-file`` (authority that the server's certificate must come from), ``verify`` (1; 0 accepts any
certificate, ignored with ``ca-cert-file``), ``cert-file`` and ``key-file`` (of the client), ``username`` and
``password``, ``timeout`` (seconds, 5), ``content`` (text that the answer must hold).
"""

from __future__ import annotations

import base64
import http.client
import ssl
import time
import urllib.parse
from dataclasses import dataclass

from slapos.promises.checks.options import number, switch, text
from slapos.promises.generic import GenericPromise

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 10
_BODY = 4 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """``location``: where a redirect leads, empty otherwise."""

    code: int
    location: str
    body: bytes


class RunPromise(GenericPromise):
    """See the module."""

    def sense(self) -> None:
        url = text(self, "url")
        begin = time.monotonic()
        try:
            answer = self.fetch(url)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.logger.error("%s cannot be fetched: %s", url, _explain(error))
            return
        seconds = time.monotonic() - begin
        expected = int(number(self, "http-code", 200))
        if not switch(self, "ignore-code", False) and expected not in {0, answer.code}:
            self.logger.error("%s answered %s, expected %s", url, answer.code, expected)
            return
        content = text(self, "content", "")
        if content and content.encode() not in answer.body:
            self.logger.error("%s answered %s without the text %r", url, answer.code, content)
            return
        self.logger.info("%s answered %s in %.3f seconds", url, answer.code, seconds)

    def fetch(self, url: str) -> Answer:
        """The answer at the end of the redirects."""
        follow = switch(self, "allow-redirects", True)
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._once(url)
            if not follow or not answer.location:
                return answer
            url = urllib.parse.urljoin(url, answer.location)
        raise http.client.HTTPException(f"more than {_MOST_REDIRECTS} redirects")

    def _once(self, url: str) -> Answer:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("not an http or https URL")
        connection = self._connection(parts)
        try:
            target = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (
                f"?{parts.query}" if parts.query else ""
            )
            connection.request("GET", target, headers=self._headers())
            response = connection.getresponse()
            location = response.getheader("Location", "") if response.status in _REDIRECTS else ""
            return Answer(response.status, location, response.read(_BODY))
        finally:
            connection.close()

    def _connection(self, parts: urllib.parse.SplitResult) -> http.client.HTTPConnection:
        timeout = number(self, "timeout", 5)
        assert parts.hostname is not None
        if parts.scheme == "http":
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=self._context())

    def _context(self) -> ssl.SSLContext:
        authority = text(self, "ca-cert-file", "")
        context = ssl.create_default_context(cafile=authority or None)
        if not authority and not switch(self, "verify", True):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate = text(self, "cert-file", "")
        if certificate:
            context.load_cert_chain(certificate, text(self, "key-file", "") or None)
        return context

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": "hyperopenx-promise", "Connection": "close"}
        username = text(self, "username", "")
        if username:
            pair = f"{username}:{text(self, 'password', '')}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
        return headers


def _explain(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    return str(error) or type(error).__name__
