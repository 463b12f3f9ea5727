"""Paths and URLs of profiles and sources; imports nothing that is large."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit


def is_url(location: str) -> bool:
    """Whether it is an http, https or file URL."""
    return urlsplit(location).scheme in {"http", "https", "file"}


def path_of(url: str) -> str:
    """The path that a ``file:`` URL names; a plain path is itself."""
    parts = urlsplit(url)
    return unquote(parts.path) if parts.scheme == "file" else url
