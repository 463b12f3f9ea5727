"""Reads profiles by path or URL, within limits."""

from __future__ import annotations

import os
import tempfile

from slapos.build.fetch.transfer import Limits, path_of, transfer
from slapos.build.profile.load import is_url
from slapos.model.errors import InputError, NotFound, Unavailable

PROFILE_LIMITS = Limits(size=10 * 1024 * 1024, seconds=60.0, stall=15.0)


class ProfileReader:
    """A ``Read`` for the engine; with ``offline`` it opens no connection."""

    def __init__(self, *, offline: bool = False, limits: Limits = PROFILE_LIMITS) -> None:
        self.offline = offline
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
        if len(data) > self.limits.size:
            raise InputError(f"{location} is larger than {self.limits.size} bytes.", reference="too-large")
        return data

    def _download(self, url: str) -> bytes:
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
