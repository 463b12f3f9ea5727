"""``hyperopenx:request``: an instance that asks for another one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.connection import (
    CONNECTION_OPTIONS,
    as_json,
    client_of,
    connection_text,
    decoded_connection,
    flat,
    guid_of,
    release_of_product,
)
from slapos.cookbook.pieces import of_the_field
from slapos.model.errors import HyperopenxError, InputError, NotReady
from slapos.model.objects import Instance, InstanceRequest
from slapos.model.states import InstanceState
from slapos.model.text import check_texts, check_title

_PRODUCT = "product."


class Request(Recipe):
    """Asks at the first use of the section; ``install`` says what is still missing."""

    OPTIONS: ClassVar[dict[str, str]] = {
        **CONNECTION_OPTIONS,
        "name": "mandatory",
        "software-url": "mandatory",
        "software-type": "default",
        "shared": "false",
        "state": "the requester's",
        "config-<key>": "",
        "sla-<key>": "",
        "return": "",
    }
    optional: ClassVar[bool] = False

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """Only checks: what the other instance publishes is known once it was asked for."""
        for option in ("config", "sla"):
            if option in options:
                raise options.error(
                    option,
                    "is not understood any more.",
                    reference="unsupported-option",
                    hint=f"Write one option {option}-<key> per value.",
                )
        _title(options)
        options.text("software-url")
        return Description()

    def setup(self) -> None:
        for key in self.names("return", ()):
            self.set(f"connection-{key}", "")
        self.failure: HyperopenxError | None = None
        self.missing: list[str] = []
        self.reasons: tuple[str, ...] = ()
        self._record()
        try:
            with client_of(self) as client:
                answer = client.request(self._wanted(), requester=guid_of(self))
        except InputError:
            raise
        except HyperopenxError as error:
            if not self.optional and not isinstance(error, NotReady):
                raise
            self.failure = error
            self.missing = self.names("return", ())
            self._set_state("", "", "")
            return
        self._take(answer)

    def install(self) -> list[str]:
        """Nothing to write; :class:`NotReady` ``waiting-for-instance`` while a value of ``return`` is missing."""
        sentence = self._waiting()
        if sentence and self.optional:
            self.logger.info("%s", sentence)
        elif sentence:
            raise NotReady(
                sentence,
                reference="waiting-for-instance",
                context={"title": self.text("name"), "missing": self.missing},
                hint="Nothing has to be done: this goes on when the value is published.",
            )
        return []

    def update(self) -> list[str]:
        return self.install()

    def parameters(self, values: Mapping[str, Any]) -> dict[str, str]:
        """The options ``config-<key>`` as they travel."""
        return {key: flat(value) for key, value in values.items()}

    def _wanted(self) -> InstanceRequest:
        sla = {key: flat(value) for key, value in self._prefixed("sla-").items()}
        return InstanceRequest(
            title=_title(self.view),
            release=self._release(),
            software_type=self.text("software-type", "") or "default",
            parameters=check_texts("config", self.parameters(self._prefixed("config-"))),
            sla=check_texts("sla", {key: value for key, value in sla.items() if value}),
            state=self._state(),
            shared=self.boolean("shared", False),
        )

    def _release(self) -> str:
        url = self.text("software-url").strip()
        return release_of_product(self, url.removeprefix(_PRODUCT)) if url.startswith(_PRODUCT) else url

    def _prefixed(self, prefix: str) -> dict[str, Any]:
        return {name.removeprefix(prefix): self.value(name) for name in self.view if name.startswith(prefix)}

    def _state(self) -> InstanceState:
        # A stopped requester keeps its children stopped, whatever the profile's silence meant.
        given = self.text("state", "") or connection_text(self, "requested-state") or "started"
        if given not in set(InstanceState):
            raise self.error("state", f"{given[:40]!r} is no state.", reference="invalid-option")
        return InstanceState(given)

    def _take(self, answer: Instance) -> None:
        known = decoded_connection(answer.connection)
        for key in self.names("return", ()):
            if key in known:
                self.set(f"connection-{key}", known[key])
            else:
                self.missing.append(key)
        self.reasons = answer.reasons if not answer.node else ()
        health = "" if self.boolean("shared", False) else str(answer.health)
        self._set_state(answer.guid, str(answer.state), health)

    def _set_state(self, guid: str, state: str, status: str) -> None:
        self.set("instance-guid", guid)
        if of_the_field(self.view):
            self.set("instance_guid", guid)
        self.set("instance-state", state)
        self.set("requested-state", str(self._state()))
        if not self.boolean("shared", False):
            self.set("instance-status", status)

    def _waiting(self) -> str:
        """One sentence of what is missing; empty when nothing is."""
        title = self.text("name")
        if self.failure is not None:
            return f"waiting for {title}: {self.failure.message}"
        if not self.missing:
            return ""
        reasons = f" (not allocated yet: {' '.join(self.reasons)})" if self.reasons else ""
        return f"waiting for {title}: {', '.join(self.missing)}{reasons}"

    def _record(self) -> None:
        """Append the title to the list of what this processing asked for (spec 04 §9)."""
        partition = connection_text(self, "partition-id") or os.path.basename(self.directory)
        path = os.path.join(self.directory, f".slapos-request-transaction-{partition}")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "ab") as stream:
            stream.write(f"{_title(self.view)}\n".encode())


class Serialised(Request):
    """Parameters travel as one JSON object under ``_``; values may be any Python values."""

    def parameters(self, values: Mapping[str, Any]) -> dict[str, str]:
        """One member ``_``; the keys are sorted."""
        return {"_": as_json(dict(values))}


class Optional(Request):
    """Does not wait: what is missing stays empty."""

    optional = True


class OptionalSerialised(Serialised):
    """Serialised parameters, and does not wait."""

    optional = True


def _title(options: OptionsView) -> str:
    try:
        return check_title("name", options.text("name"))
    except InputError as error:
        if error.reference == "missing-option":
            raise
        raise options.error("name", error.message, reference=error.reference, hint=error.hint) from error
