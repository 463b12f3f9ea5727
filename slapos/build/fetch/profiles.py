"""Reads profiles by path or URL, within limits."""

from __future__ import annotations

import logging
import os
import tempfile
from hashlib import md5

from slapos.build.fetch.transfer import Limits, transfer
from slapos.build.locations import is_url, path_of
from slapos.model.errors import InputError, NotFound, Unavailable
from slapos.system.files import atomic_write

_log = logging.getLogger(__name__)

PROFILE_LIMITS = Limits(size=10 * 1024 * 1024, seconds=60.0, stall=15.0)


class ProfileReader:
    """A ``Read`` for the engine; with ``offline`` it opens no connection.

    ``cache`` is a directory in which what was downloaded is kept, by the md5 of its URL as the field does; it serves
    when the server cannot be reached, never instead of it.  Without ``keep`` nothing is written there.
    """

    def __init__(
        self, *, offline: bool = False, cache: str = "", keep: bool = True, limits: Limits = PROFILE_LIMITS
    ) -> None:
        self.offline = offline
        self.cache = cache
        self.keep = keep
        self.limits = limits

    def __call__(self, location: str) -> bytes:
        """The bytes of a profile.

        ``NotFound`` ``missing-profile``; ``Unavailable``; ``InputError`` ``too-large``.
        """
        if is_url(location) and not location.startswith("file:"):
            return self._download(location)
        path = path_of(location)
        try:
            with open(path, "rb") as stream:
                data = stream.read(self.limits.size + 1)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise _missing(location) from None
        except PermissionError:
            raise InputError(f"{location} may not be read.", reference="unreadable-profile") from None
        except OSError as error:
            raise InputError(f"{location} cannot be read: {error.strerror}.", reference="unreadable-profile") from error
        if len(data) > self.limits.size:
            raise InputError(f"{location} is larger than {self.limits.size} bytes.", reference="too-large")
        return data

    def _download(self, url: str) -> bytes:
        kept = os.path.join(self.cache, md5(url.encode(), usedforsecurity=False).hexdigest()) if self.cache else ""
        try:
            data = self._transferred(url)
        except Unavailable as error:
            if not kept or not os.path.isfile(kept):
                raise
            _log.warning("%s The copy of the last time serves.", error.message)
            with open(kept, "rb") as stream:
                return stream.read(self.limits.size)
        if kept and self.keep:
            os.makedirs(self.cache, exist_ok=True)
            atomic_write(kept, data, 0o644, fsync=False)
        return data

    def _transferred(self, url: str) -> bytes:
        if self.offline:
            raise Unavailable(f"{url} is not fetched: this run is offline.", reference="offline", context={"url": url})
        with tempfile.TemporaryDirectory(prefix="hyperopenx-") as directory:
            partial = os.path.join(directory, "profile")
            try:
                transfer(url, partial, self.limits)
            except NotFound:
                raise _missing(url) from None
            with open(partial, "rb") as stream:
                return stream.read()


def _missing(location: str) -> NotFound:
    return NotFound(
        f"The profile {location} does not exist.",
        reference="missing-profile",
        context={"profile": location},
        hint="Check the path or URL for a typing error.",
    )
