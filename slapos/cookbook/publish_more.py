"""``publish_failsafe``, ``publish.serialised_failsafe`` and ``publishurl`` of the field."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, urlunparse

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.connection import as_json, flat, guid_of
from slapos.cookbook.places import make_parents, path_below
from slapos.cookbook.publication import publish_once
from slapos.cookbook.publish import Publish
from slapos.model.errors import HyperopenxError
from slapos.model.text import check_texts
from slapos.system.files import atomic_write

_STATUS = "-error-status-file"


class PublishFailsafe(Publish):
    """Like ``publish``; an error goes into ``-error-status-file`` and is tried again at the next run."""

    OPTIONS: ClassVar[dict[str, str]] = {**Publish.OPTIONS, _STATUS: ""}

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """Only checks the path."""
        if options.text(_STATUS, ""):
            path_below(options, _STATUS, "")
        return Description()

    def install(self) -> list[str]:
        path = path_below(self.view, _STATUS, "") if self.text(_STATUS, "") else ""
        try:
            super().install()
        except HyperopenxError as error:
            self.logger.warning("%s", error.message)
            if path:
                make_parents(path)
                atomic_write(path, f"{error.message}\n{error.hint}\n", 0o644)
        else:
            if path:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        return []

    def update(self) -> list[str]:
        """Once more when the last time failed."""
        path = path_below(self.view, _STATUS, "") if self.text(_STATUS, "") else ""
        return self.install() if path and os.path.exists(path) else super().update()


class SerialisedFailsafe(PublishFailsafe):
    """The same, as one JSON object under ``_``."""

    def connection(self, values: Mapping[str, Any]) -> dict[str, str]:
        """One member ``_``; the keys are sorted."""
        return {"_": as_json(dict(values))}


class PublishUrl(Recipe):
    """Publishes ``url``, given whole or in pieces."""

    CONNECTION_IN_SECTION_ONLY: ClassVar[bool] = True
    OPTIONS: ClassVar[dict[str, str]] = {
        "url": "",
        **dict.fromkeys(("scheme", "host", "port", "path", "params", "query", "fragment", "username", "password"), ""),
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """Only checks that there is a URL."""
        if not options.text("url", ""):
            options.text("scheme")
            options.text("host")
        return Description()

    def install(self) -> list[str]:
        url = flat(self.value("url", "")) or self._joined()
        publish_once(self, guid_of(self), check_texts("connection", {"url": url}))
        return []

    update = install

    def _joined(self) -> str:
        host, port = self.text("host"), self.text("port", "")
        place = f"[{host}]" if ":" in host and not host.startswith("[") else host
        if port:
            place = f"{place}:{port}"
        if self.text("username", ""):
            secret = f":{quote(self.text('password'), safe='')}" if self.text("password", "") else ""
            place = f"{quote(self.text('username'), safe='')}{secret}@{place}"
        rest = [self.text(piece, "") for piece in ("path", "params", "query", "fragment")]
        return urlunparse((self.text("scheme"), place, *rest))
