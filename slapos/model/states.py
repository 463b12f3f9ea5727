"""States of the things that the master wants and the node reports."""

from __future__ import annotations

from enum import StrEnum


class InstanceState(StrEnum):
    """What the requester wants, and what the node reports once it is so."""

    STARTED = "started"
    STOPPED = "stopped"
    DESTROYED = "destroyed"


class SupplyState(StrEnum):
    """The wish that a node holds a release, or no longer."""

    AVAILABLE = "available"
    DESTROYED = "destroyed"


class SupplyReport(StrEnum):
    """What a node says of a supply."""

    UNKNOWN = "unknown"
    BUILDING = "building"
    AVAILABLE = "available"
    ERROR = "error"
    DESTROYED = "destroyed"


class Health(StrEnum):
    """The one-word summary shown beside the sentence of an instance."""

    PENDING = "pending"  # no partition yet
    WORKING = "working"  # the node processes it
    WAITING = "waiting"  # for something else, which is not an error
    OK = "ok"
    ERROR = "error"
    STOPPED = "stopped"
    DESTROYED = "destroyed"


class Role(StrEnum):
    """Of a person in a project."""

    OWNER = "owner"
    MEMBER = "member"
    VIEWER = "viewer"


class PrincipalKind(StrEnum):
    """Who asks.  ``SERVICE`` certificates identify servers and may ask nothing."""

    OPERATOR = "operator"
    USER = "user"
    NODE = "node"
    INSTANCE = "instance"
    SERVICE = "service"
    ANYONE = "anyone"
