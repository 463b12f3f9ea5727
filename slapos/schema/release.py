"""The descriptor of a release (``software.cfg.json``, spec 07 §2) and what its schemas say of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from urllib.parse import urljoin

from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.validators import Draft202012Validator, validator_for
from referencing.exceptions import Unresolvable

from slapos.model.errors import HyperopenxError, NotFound
from slapos.schema.documents import Documents, as_resource, descriptor_url, invalid_schema
from slapos.schema.fetch import Fetch
from slapos.schema.filling import unstringified, with_defaults
from slapos.schema.parameters import Serialisation, decode
from slapos.schema.violations import violation

OLD_DEFAULT_TYPE = "RootSoftwareInstance"
_TYPE_MEMBERS = {"title", "description", "request", "response", "serialisation", "software-type", "shared", "index"}

Direction = Literal["request", "response"]


@dataclass(frozen=True)
class SoftwareType:
    """One entry of ``software-type``.  ``request`` and ``response`` are absolute URLs of schemas."""

    id: str
    request: str
    response: str
    software_type: str
    title: str = ""
    description: str = ""
    serialisation: Serialisation | None = None
    shared: bool = False
    index: float = 0


@dataclass(frozen=True)
class ReleaseSchema:
    """What a release says of its parameters.  ``types`` is empty for a release without descriptor: all is allowed."""

    url: str
    name: str
    description: str
    default_serialisation: Serialisation | None
    types: tuple[SoftwareType, ...]
    documents: Documents = field(repr=False, compare=False)
    _validators: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def find_type(self, software_type: str, shared: bool = False) -> SoftwareType | None:
        """The entry for a requested type; None when the descriptor does not know it."""
        wanted = software_type or "default"
        names = ["default", OLD_DEFAULT_TYPE] if wanted in ("default", OLD_DEFAULT_TYPE) else [wanted]
        entries = [entry for entry in self.types if entry.shared == shared]
        for name in names:
            for matches in (
                [entry for entry in entries if entry.id == name],
                [entry for entry in entries if entry.software_type == name],
                [entry for entry in entries if shared and entry.id == f"{name}-slave"],
            ):
                if matches:
                    return min(matches, key=lambda entry: entry.index)
        return None

    def serialisation(self, software_type: str, shared: bool = False) -> Serialisation:
        """How parameters of a type travel; ``json-in-xml`` when the release does not say."""
        entry = self.find_type(software_type, shared)
        return (entry.serialisation if entry else None) or self.default_serialisation or "json-in-xml"

    def warnings(self, software_type: str, shared: bool = False) -> tuple[str, ...]:
        """What the requester should know although nothing is refused."""
        if not self.types:
            return (f"{self.url} has no descriptor: its parameters cannot be checked.",)
        entry = self.find_type(software_type, shared)
        if entry is None:
            known = ", ".join(sorted({other.software_type for other in self.types if other.shared == shared})) or "none"
            kind = "shared software type" if shared else "software type"
            return (f"{self.url} does not describe the {kind} {software_type!r} (known: {known}).",)
        if (entry.serialisation or self.default_serialisation) is None:
            return (f"{self.url} names no serialisation for {entry.id!r}: json-in-xml is taken.",)
        return ()

    def decode(self, software_type: str, parameters: Mapping[str, Any], shared: bool = False) -> Any:
        """The value that the schema speaks about: flat texts, or the JSON value under ``_``; without ``$schema``."""
        return decode(parameters, self.serialisation(software_type, shared))

    def validate(
        self,
        software_type: str,
        parameters: Mapping[str, Any],
        shared: bool = False,
        direction: Direction = "request",
    ) -> None:
        """Raise :class:`InputError` ``schema-violation``; context: ``field`` (JSON path), ``rule``, ``value``."""
        self._check(software_type, self.decode(software_type, parameters, shared), shared, direction)

    def typed(self, software_type: str, parameters: Mapping[str, Any], shared: bool = False) -> Any:
        """The decoded value, texts turned into numbers and booleans where the schema wants those; not validated."""
        return self._unstringified(software_type, self.decode(software_type, parameters, shared), shared)

    def defaults(self, software_type: str, parameters: Mapping[str, Any], shared: bool = False) -> Any:
        """The decoded value with the schema's defaults filled in; raises as :meth:`validate` does."""
        value = self.decode(software_type, parameters, shared)
        self._check(software_type, value, shared, "request")
        return self.completed(software_type, value, shared)

    def completed(self, software_type: str, value: Any, shared: bool = False) -> Any:
        """A decoded, valid value with the schema's defaults filled in."""
        entry = self.find_type(software_type, shared)
        if entry is None:
            return value
        try:
            return with_defaults(self._validator(entry.request), value)
        except (Unresolvable, RecursionError) as error:
            raise _unusable(entry.request, error) from error

    def _check(self, software_type: str, value: Any, shared: bool, direction: Direction) -> None:
        entry = self.find_type(software_type, shared)
        if entry is None:
            return
        if self.serialisation(software_type, shared) == "xml":
            # Everything travels as text there, also what the schema calls an integer.
            value = self._unstringified(software_type, value, shared, direction)
        url = entry.request if direction == "request" else entry.response
        errors = self._errors(url, value)
        if errors:
            raise violation(best_match(errors) or errors[0], errors, release=self.url, software_type=entry.id)

    def _unstringified(self, software_type: str, value: Any, shared: bool, direction: Direction = "request") -> Any:
        entry = self.find_type(software_type, shared)
        if entry is None:
            return value
        url = entry.request if direction == "request" else entry.response
        try:
            return unstringified(self._validator(url), value)
        except (Unresolvable, RecursionError) as error:
            raise _unusable(url, error) from error

    def _errors(self, url: str, value: Any) -> list[ValidationError]:
        try:
            return sorted(self._validator(url).iter_errors(value), key=lambda error: error.json_path)
        except (Unresolvable, RecursionError) as error:
            raise _unusable(url, error) from error

    def _validator(self, url: str) -> Any:
        found = self._validators.get(url)
        if found is None:
            found = self._validators[url] = self._make_validator(url)
        return found

    def _make_validator(self, url: str) -> Any:
        contents = self.documents.read(url)
        if not isinstance(contents, dict | bool):
            raise invalid_schema(url, "a schema is an object")
        kind = validator_for(contents, default=Draft202012Validator)
        try:
            kind.check_schema(cast("dict[str, Any]", contents))
        except SchemaError as error:
            raise invalid_schema(url, f"{error.json_path}: {error.message[:200]}") from error
        dialect = str(kind.META_SCHEMA.get("$schema"))
        schema = as_resource(contents, dialect).contents
        id_member = "id" if "id" in kind.META_SCHEMA and "$id" not in kind.META_SCHEMA else "$id"
        if isinstance(schema, dict):
            schema = {id_member: url, **schema}
        return kind(schema, registry=self.documents.registry(dialect), format_checker=kind.FORMAT_CHECKER)


def load(url: str, fetch: Fetch) -> ReleaseSchema:
    """The schema of the release at ``url``; one without types when it has no descriptor.

    Raises what ``fetch`` raises (:class:`Unavailable`: try again, or accept with a warning), and
    :class:`InputError` ``invalid-schema`` for a wrong descriptor.
    """
    documents = Documents(release=url, fetch=fetch)
    where = descriptor_url(url)
    try:
        data = documents.read(where)
    except NotFound:
        return ReleaseSchema(url, "", "", None, (), documents)
    if not isinstance(data, dict) or not isinstance(data.get("software-type"), dict):
        raise invalid_schema(where, "it has no object 'software-type'")
    types = tuple(_software_type(url, where, name, entry) for name, entry in data["software-type"].items())
    return ReleaseSchema(
        url=url,
        name=str(data.get("name", "")),
        description=str(data.get("description", "")),
        default_serialisation=_serialisation(where, data),
        types=types,
        documents=documents,
    )


def check_exists(url: str, fetch: Fetch) -> None:
    """Raise what ``fetch`` raises when the profile of a release cannot be read."""
    fetch(url)


def _software_type(release: str, where: str, name: str, entry: Any) -> SoftwareType:
    if not isinstance(entry, dict):
        raise invalid_schema(where, f"software-type {name!r} is no object")
    unknown = sorted(set(entry) - _TYPE_MEMBERS)
    if unknown:
        raise invalid_schema(where, f"software-type {name!r} has the unknown member {unknown[0]!r}")
    for member in ("request", "response"):
        if not isinstance(entry.get(member), str):
            raise invalid_schema(where, f"software-type {name!r} has no text {member!r}")
    shared, index = entry.get("shared", False), entry.get("index", 0)
    if not isinstance(shared, bool) or isinstance(index, bool) or not isinstance(index, int | float):
        raise invalid_schema(where, f"software-type {name!r}: 'shared' is a boolean, 'index' a number")
    return SoftwareType(
        id=name,
        request=urljoin(release, entry["request"]),
        response=urljoin(release, entry["response"]),
        software_type=str(entry.get("software-type", name)),
        title=str(entry.get("title", "")),
        description=str(entry.get("description", "")),
        serialisation=_serialisation(where, entry),
        shared=shared,
        index=index,
    )


def _serialisation(where: str, data: Mapping[str, Any]) -> Serialisation | None:
    value = data.get("serialisation")
    if value is None or value in ("xml", "json-in-xml"):
        return value
    raise invalid_schema(where, f"the serialisation {value!r} is not 'xml' or 'json-in-xml'")


def _unusable(url: str, error: BaseException) -> HyperopenxError:
    """The error of ours behind a reference that could not be resolved, or a general one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, HyperopenxError):
            return cause
        cause = cause.__cause__ or cause.__context__
    why = "it refers to itself without end" if isinstance(error, RecursionError) else f"{error} cannot be resolved"
    return invalid_schema(url, why)
