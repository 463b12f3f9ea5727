"""One file over http(s) or from the disk, into a partial file that a later try continues.

Proxy variables and ``.netrc`` of the environment are honoured, unlike in the client of the master: a user's proxy is
often the only way to the internet, and the digest decides whether the bytes are right.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from slapos.build.locations import path_of
from slapos.model.errors import HyperopenxError, InputError, NotFound, Unavailable

if TYPE_CHECKING:
    import requests

_LAYER = re.compile(r"^(<[^>]*>|\w+\(host=[^)]*\)): ")
_CHUNK = 64 * 1024  # what a broken connection may lose


@dataclass(frozen=True)
class Limits:
    """``size`` in bytes; ``seconds`` for the whole file; ``stall`` seconds without a byte, also to connect."""

    size: int = 4 * 1024**3
    seconds: float = 3600.0
    stall: float = 30.0


DEFAULT_LIMITS = Limits()


def transfer(url: str, partial: str, limits: Limits = DEFAULT_LIMITS) -> str:
    """Bring the bytes of ``url`` to the file ``partial``; their sha256 in hex.

    What ``partial`` already holds is not asked for again where the server allows.  Raises ``NotFound``,
    ``Unavailable`` (with the partial file kept for the next try) or ``InputError`` ``too-large``.
    """
    scheme = urlsplit(url).scheme
    if scheme in ("", "file"):
        _copy(url, partial, limits)
    elif scheme in ("http", "https"):
        _download(url, partial, limits)
    else:
        raise InputError(
            f"{url}: the scheme {scheme!r} is not one of http, https, file.",
            reference="invalid-url",
            context={"url": url, "field": "url"},
        )
    return digest_of(partial)


def digest_of(path: str) -> str:
    """sha256 of a file, in hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _copy(url: str, partial: str, limits: Limits) -> None:
    path = path_of(url)
    try:
        if os.path.getsize(path) > limits.size:
            raise _too_large(url, limits)
        shutil.copyfile(path, partial)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise NotFound(f"{url} does not exist.", reference="source-not-found", context={"url": url}) from None
    except PermissionError:
        raise Unavailable(f"{url} may not be read.", reference="unreachable", context={"url": url}) from None


def _download(url: str, partial: str, limits: Limits) -> None:
    have = os.path.getsize(partial) if os.path.exists(partial) else 0
    deadline = time.monotonic() + limits.seconds
    with _answer(url, have, limits) as response:
        if response.status_code == 416:
            os.truncate(partial, 0)
            raise _unreachable(url, "the server does not continue this file; the next try begins again")
        _check_status(url, response)
        mode = "ab" if response.status_code == 206 and _continues(response, have) else "wb"
        size = have if mode == "ab" else 0
        with open(partial, mode) as stream:
            for chunk in iter(lambda: _chunk(url, response), b""):
                size += len(chunk)
                if size > limits.size:
                    raise _too_large(url, limits)
                if time.monotonic() > deadline:
                    raise _unreachable(url, f"it took longer than {limits.seconds:.0f} s")
                stream.write(chunk)
        _check_complete(url, response, size - (have if mode == "ab" else 0))


def _chunk(url: str, response: requests.Response) -> bytes:
    """What has come, not all that was asked for: a server that gives a byte now and then meets the deadline."""
    from urllib3.exceptions import HTTPError

    try:
        return bytes(response.raw.read1(_CHUNK, decode_content=True))
    except (HTTPError, OSError) as error:
        raise _unreachable(url, f"the connection broke: {error}") from None


@contextlib.contextmanager
def _answer(url: str, have: int, limits: Limits) -> Iterator[requests.Response]:
    import requests  # takes a tenth of a second that who only looks at a release need not wait

    headers = {"Accept-Encoding": "identity", "User-Agent": "hyperopenx"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=limits.stall) as response:
            yield response
    except requests.RequestException as error:
        raise _unreachable(url, _reason(error)) from None


def _reason(error: requests.RequestException) -> str:
    """The innermost reason, without the layers of the libraries."""
    inner = error.args[0] if error.args else error
    reason = getattr(inner, "reason", inner)
    return _LAYER.sub("", str(reason))


def _check_status(url: str, response: requests.Response) -> None:
    if response.status_code in (404, 410):
        raise NotFound(f"{url} does not exist.", reference="source-not-found", context={"url": url})
    if response.status_code not in (200, 206):
        raise _unreachable(url, f"the server answered {response.status_code} {response.reason}")


def _continues(response: requests.Response, have: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _check_complete(url: str, response: requests.Response, received: int) -> None:
    announced = response.headers.get("Content-Length", "")
    if announced.isdigit() and int(announced) != received:
        raise _unreachable(url, f"the connection ended after {received} of {announced} bytes")


def _unreachable(url: str, why: str) -> Unavailable:
    return Unavailable(f"{url}: {why}.", reference="unreachable", context={"url": url})


def _too_large(url: str, limits: Limits) -> HyperopenxError:
    return InputError(
        f"{url} is larger than {limits.size} bytes.",
        reference="too-large",
        context={"url": url, "limit": limits.size},
    )
