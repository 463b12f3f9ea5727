"""Objects of the protocol made from what travelled: data first, the class by a closed table, never by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slapos.slap.exception import ServerError
from slapos.wire.marshal import FieldObject


def revived(value: Any) -> Any:
    """``value`` with every :class:`FieldObject` as an object of the classic library, however deep.

    :class:`ServerError` when the arguments of its constructor are not those of the protocol.
    """
    if isinstance(value, FieldObject):
        return _object(value)
    if isinstance(value, dict):
        return {key: revived(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return type(value)(revived(item) for item in value)
    return value


def update(target: Any, attributes: Mapping[str, Any]) -> None:
    """Set what the master said; its own connection is nothing that a master can say."""
    for name, value in attributes.items():
        if name not in ("_connection_helper", "_hateoas_navigator") and not name.startswith("__"):
            target.__dict__[name] = value


def _object(value: FieldObject) -> Any:
    from slapos.slap.classic_objects import Computer, SoftwareInstance, SoftwareRelease
    from slapos.slap.classic_requests import ComputerPartition

    kinds: dict[str, type[Any]] = {
        "Computer": Computer,
        "ComputerPartition": ComputerPartition,
        "SoftwareInstance": SoftwareInstance,
        "SoftwareRelease": SoftwareRelease,
    }
    try:
        made = kinds[value.kind](*(revived(item) for item in value.arguments))
    except TypeError as error:
        raise ServerError(f"The master sent a {value.kind} that cannot be made: {error}.") from error
    update(made, {name: revived(item) for name, item in value.state.items()})
    return made
