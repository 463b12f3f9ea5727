"""The exceptions of the classic library, under the names that scripts of the field catch."""

from __future__ import annotations


class SlapException(Exception):
    """Base of the others."""


class ResourceNotReady(SlapException):
    """Not yet: the order is accepted."""


class ServerError(SlapException):
    """The master cannot answer now."""


class NotFoundError(SlapException):
    """The master does not know it."""


class AuthenticationError(SlapException):
    """The master does not believe who asks.  Kept for ``except`` clauses; nothing raises it (spec/00, trap 7)."""


class ConnectionError(SlapException):
    """No answer: network, time limit, or TLS."""
