"""Parameters as a release wants to be given them: flat texts, or one structure; its schema says which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from slapos.cli.output import say
from slapos.cli.parameters import is_structured, serialise
from slapos.model.errors import HyperopenxError, InputError
from slapos.model.objects import DEFAULT_SOFTWARE_TYPE

if TYPE_CHECKING:
    from slapos.model.objects import InstanceRequest
    from slapos.schema.release import ReleaseSchema


def carried(
    values: Mapping[str, Any],
    release: str,
    kind: tuple[str, bool] = (DEFAULT_SOFTWARE_TYPE, False),
    forced: str | None = None,
) -> dict[str, str]:
    """``values`` as ``release`` expects them for ``kind`` (software type, shared).

    Texts become numbers and booleans where the schema wants those.  ``forced``: ``xml`` or ``json-in-xml``, whatever
    the schema says.  Without a schema, only values that are no flat text need a structure.
    """
    schema = readable_schema(release) if values and not forced else None
    if schema is None:
        return serialise(values, forced == "json-in-xml" or (not forced and is_structured(values)))
    if schema.serialisation(*kind) == "xml":
        return serialise(values, False)
    return serialise(schema.typed(kind[0], serialise(values, True), kind[1]), True)


def remark(order: InstanceRequest) -> None:
    """Say what the schema of its release has against an order; nothing is refused."""
    schema = readable_schema(order.release)
    if schema is None or not order.parameters:
        return
    for sentence in schema.warnings(order.software_type, order.shared):
        say(f"Remark: {sentence}")
    try:
        schema.validate(order.software_type, order.parameters, order.shared)
    except InputError as error:
        say(f"Remark: the schema of the release does not allow this: {error.message}")


def readable_schema(release: str) -> ReleaseSchema | None:
    """What the release says of its parameters; None when it says nothing, or (with a remark) is not readable here."""
    from slapos.schema.fetch import Fetcher
    from slapos.schema.release import load

    try:
        schema = load(release, Fetcher(roots=("/",)))
    except HyperopenxError as error:
        say(f"The schema of the release cannot be read here, the master checks the order. ({error.message})")
        return None
    return schema if schema.types else None
