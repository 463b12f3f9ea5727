"""Fetching the documents of a release that a requester named, with care (design §6).

Only http, https, and files below configured roots; no private address unless allowed; bounded size and time; each
redirect judged like a first address.  Whether the release is one that may be used at all is the master's question.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from slapos.model.errors import InputError, NotFound, Refused, Unavailable
from slapos.model.text import check_text
from slapos.schema.cache import DocumentCache
from slapos.schema.transport import Limits, request

Fetch = Callable[[str], bytes]
"""URL to content.  Raises NotFound, Refused, InputError, or Unavailable when trying again may help."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAXIMUM_REDIRECTS = 5


class Fetcher:
    """A :data:`Fetch`.

    ``roots``: directories below which ``file:`` URLs and absolute paths may be read.  ``max_age``: seconds for which
    a cached answer is used without asking again; an older one still serves when the server cannot be reached.
    """

    def __init__(
        self,
        *,
        roots: tuple[str, ...] = (),
        limits: Limits = Limits(),  # noqa: B008 - frozen
        cache: DocumentCache | None = None,
        max_age: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.roots = tuple(os.path.realpath(root) for root in roots)
        self.limits = limits
        self.cache = cache
        self.max_age = max_age
        self.clock = clock

    def __call__(self, url: str) -> bytes:
        """The content of ``url``."""
        check_text("url", url)
        if url.startswith("/"):
            return self._read_file(url, url)
        parts = _split(url)
        if parts.scheme == "file":
            return self._read_file(unquote(parts.path), url)
        return self._fetch_cached(url)

    def _fetch_cached(self, url: str) -> bytes:
        if self.cache is None:
            return self._fetch(url)
        now = self.clock()
        cached = self.cache.find(url)
        if cached is not None and 0 <= now - cached.time < self.max_age:
            return cached.data
        try:
            data = self._fetch(url)
        except Unavailable:
            if cached is None:
                raise
            return cached.data
        self.cache.store(url, data, now)
        return data

    def _fetch(self, url: str) -> bytes:
        current = url
        for _ in range(_MAXIMUM_REDIRECTS + 1):
            answer = request(_split(current), self.limits)
            if answer.status not in _REDIRECTS or not answer.location:
                return self._judge(url, answer.status, answer.body)
            following = urljoin(current, answer.location)
            _check_redirect(current, following)
            current = following
        raise Unavailable(
            f"{url} redirects more than {_MAXIMUM_REDIRECTS} times.",
            reference="too-many-redirects",
            context={"url": url},
        )

    def _judge(self, url: str, status: int, body: bytes) -> bytes:
        if status in (404, 410):
            raise _missing(url)
        if status in (401, 403):
            raise Refused(
                f"{url} may not be read: the server answered {status}.",
                reference="release-refused",
                context={"url": url, "status": status},
                hint="Publish the release where the master and the nodes can read it.",
            )
        if status != 200:
            raise Unavailable(
                f"{url} cannot be fetched: the server answered {status}.",
                reference="unreachable",
                context={"url": url, "status": status},
            )
        return self._check_size(url, body)

    def _check_size(self, url: str, body: bytes) -> bytes:
        if len(body) > self.limits.size:
            raise InputError(
                f"{url} is larger than {self.limits.size} bytes.",
                reference="too-large",
                context={"url": url, "limit": self.limits.size},
                hint="Split the document.",
            )
        return body

    def _read_file(self, path: str, url: str) -> bytes:
        if not self._is_below_roots(os.path.realpath(path)):
            raise self._elsewhere(url)
        try:
            # O_NONBLOCK: a FIFO below a root must not hang the caller.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _missing(url) from error
        except OSError as error:
            raise Refused(
                f"{url} may not be read: {error.strerror}.", reference="release-refused", context={"url": url}
            ) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _missing(url)
        with os.fdopen(descriptor, "rb") as stream:
            # Judged again by what was opened: a link may have been changed in between.
            if not self._is_below_roots(os.readlink(f"/proc/self/fd/{descriptor}")):
                raise self._elsewhere(url)
            return self._check_size(url, stream.read(self.limits.size + 1))

    def _is_below_roots(self, path: str) -> bool:
        return any(path.startswith(root.rstrip("/") + "/") for root in self.roots)

    def _elsewhere(self, url: str) -> Refused:
        return Refused(
            f"{url} lies outside the directories from which releases may be read.",
            reference="release-location-refused",
            context={"url": url, "allowed": list(self.roots)},
            hint="Use an http(s) URL, or ask the operator to allow the directory.",
        )


def _split(url: str) -> SplitResult:
    """``url`` in parts; only http, https and file, without a login."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _invalid(url, str(error)) from error
    if parts.scheme not in ("http", "https", "file"):
        raise _invalid(url, f"the scheme {parts.scheme or '(none)'!r} is not one of http, https, file")
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        raise _invalid(url, "a file URL names no host")
    if parts.scheme != "file" and (not parts.hostname or port == 0):
        raise _invalid(url, "the host is missing")
    if parts.username is not None or parts.password is not None:
        raise _invalid(url.replace(parts.netloc, parts.hostname or ""), "a login in a URL would be seen by many")
    if any(character <= " " or character == "\x7f" for character in url):
        raise _invalid(url, "it holds a space or a control character")
    return parts._replace(path=parts.path, fragment="")


def _check_redirect(current: str, following: str) -> None:
    if _split(following).scheme == "file" or (current.startswith("https:") and not following.startswith("https:")):
        raise Refused(
            f"{current} redirects to {following}, which is not followed.",
            reference="redirect-refused",
            context={"url": current, "location": following},
            hint="Use the final address.",
        )


def _invalid(url: str, why: str) -> InputError:
    return InputError(
        f"{url!r} is no usable URL: {why}.",
        reference="invalid-url",
        context={"url": url, "field": "url"},
        hint="Give an http or https URL, or the absolute path of a file.",
    )


def _missing(url: str) -> NotFound:
    return NotFound(
        f"{url} does not exist.",
        reference="release-not-found",
        context={"url": url},
        hint="Check the address for typing errors.",
    )
