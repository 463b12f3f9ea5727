"""JSON documents of one release: read strictly, and only from within the release."""

from __future__ import annotations

import json
import math
import posixpath
from typing import Any, NoReturn
from urllib.parse import unquote, urljoin, urlsplit

from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource
from referencing.jsonschema import DRAFT202012, specification_with

from slapos.model.errors import HyperopenxError, InputError
from slapos.schema.fetch import Fetch

MAXIMUM_DOCUMENTS = 100


def read_json(text: str | bytes) -> Any:
    """Strict JSON; :class:`ValueError` also for NaN, infinite numbers, duplicate members, absurd depth."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            raise ValueError("a member is there twice")
        return value

    def no_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is no JSON value")

    def finite(text: str) -> float:
        if math.isfinite(number := float(text)):
            return number
        raise ValueError(f"{text[:40]} is too large a number")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=no_constant, parse_float=finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def descriptor_url(release: str) -> str:
    """URL of ``software.cfg.json`` of a release: a suffix on the path, also when a query follows."""
    if release.startswith("/"):
        return release + ".json"
    parts = urlsplit(release)
    return parts._replace(path=parts.path + ".json", fragment="").geturl()


def release_scope(release: str) -> str:
    """URL prefix of what belongs to a release, ending in ``/``.

    The directory of the profile; in the layout ``<root>/software/<name>/software.cfg`` the whole ``<root>``, since
    schemas there refer to those of ``stack/``.
    """
    base = urljoin(release, ".")
    path = posixpath.normpath(urlsplit(base).path)
    above = posixpath.dirname(path)
    if posixpath.basename(above) == "software":
        path = posixpath.dirname(above)
    return urlsplit(base)._replace(path=path.rstrip("/") + "/", query="", fragment="").geturl()


def is_within(scope: str, url: str) -> bool:
    """Whether ``url`` lies below ``scope`` once ``.`` and ``..``, also percent-encoded ones, are resolved."""
    wanted, given = urlsplit(scope), urlsplit(url)
    path = posixpath.normpath(unquote(given.path))
    return (wanted.scheme, wanted.netloc) == (given.scheme, given.netloc) and path.startswith(unquote(wanted.path))


class Documents:
    """Reads the JSON documents of one release, each once, at most :data:`MAXIMUM_DOCUMENTS` of them."""

    def __init__(self, *, release: str, fetch: Fetch) -> None:
        self.scope = release_scope(release)
        self._fetch = fetch
        self._read: dict[str, Any] = {}

    def read(self, url: str) -> Any:
        """The JSON value at ``url``; :class:`InputError` ``invalid-schema`` when outside, or no JSON."""
        url = url.split("#", 1)[0]
        if url not in self._read:
            self._check(url)
            try:
                self._read[url] = read_json(self._fetch(url))
            except ValueError as error:
                raise invalid_schema(url, f"it is not JSON: {error}") from error
        return self._read[url]

    def registry(self, dialect: str) -> Registry[Any]:
        """A registry that retrieves what ``$ref`` names.  ``dialect``: the ``$schema`` of the main document."""

        def retrieve(url: str) -> Resource[Any]:
            try:
                contents = self.read(url)
            except HyperopenxError as error:
                raise NoSuchResource(ref=url) from error  # type: ignore[call-arg]
            return as_resource(contents, dialect)

        return Registry(retrieve=retrieve)  # type: ignore[call-arg]

    def _check(self, url: str) -> None:
        if not is_within(self.scope, url) or not urlsplit(url).path.endswith(".json"):
            raise InputError(
                f"{url} lies outside the release ({self.scope}*.json).",
                reference="reference-outside-release",
                context={"url": url, "scope": self.scope},
                hint="Keep every schema that a release refers to within the release.",
            )
        if len(self._read) >= MAXIMUM_DOCUMENTS:
            raise invalid_schema(url, f"the release refers to more than {MAXIMUM_DOCUMENTS} documents")


def as_resource(contents: Any, dialect: str) -> Resource[Any]:
    """A schema document of its own dialect (default: that of the main document).

    ``$schema`` is dropped where it repeats the main dialect: jsonschema would otherwise switch, inside that document,
    from our filling validator to the plain one.
    """
    own = contents.get("$schema", dialect) if isinstance(contents, dict) else dialect
    specification = specification_with(str(own), default=DRAFT202012)
    if isinstance(contents, dict) and own == dialect:
        contents = {key: value for key, value in contents.items() if key != "$schema"}
    return specification.create_resource(contents)


def invalid_schema(url: str, why: str) -> InputError:
    """The packager's error: a descriptor or a schema of a release is wrong."""
    return InputError(
        f"The release's document {url} cannot be used: {why}.",
        reference="invalid-schema",
        context={"url": url, "rule": why[:300]},
        hint="The packager of the release must correct it.",
    )
