"""Small facts as options: ``urlparse``, ``uuid``, ``userinfo`` and ``readline`` of the field."""

from __future__ import annotations

import grp
import os
import pwd
import uuid
from typing import ClassVar
from urllib.parse import urlparse

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.build.values import Value
from slapos.cookbook.places import make_parents, path_below
from slapos.model.errors import NotReady
from slapos.system.files import atomic_write


class _Fact(Recipe):
    """Everything is known at the first use of the section."""

    def install(self) -> list[str]:
        return []


class UrlParse(_Fact):
    """The pieces of ``url``, empty where it has none."""

    OPTIONS: ClassVar[dict[str, str]] = {"url": "mandatory"}

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """All pieces; ``path`` without the slashes around it."""
        given = options.text("url")
        try:
            url = urlparse(given)
            port = url.port
        except ValueError as error:
            raise options.error("url", f"{given[:100]!r} is no URL: {error}.", reference="invalid-option") from None
        outputs: dict[str, Value] = {
            "scheme": url.scheme,
            "username": url.username or "",
            "password": url.password or "",
            "host": url.hostname or "",
            "port": "" if port is None else str(port),
            "path": url.path.strip("/"),
            "params": url.params,
            "query": url.query,
            "fragment": url.fragment,
        }
        return Description(outputs)


class Uuid(_Fact):
    """``uuid``: 32 hexadecimal digits, made once and kept in ``cache-file``."""

    OPTIONS: ClassVar[dict[str, str]] = {"cache-file": "mandatory"}

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """``cache-file``, absolute; ``uuid`` is known when the recipe runs."""
        return Description(outputs={"cache-file": path_below(options, "cache-file", "")})

    def setup(self) -> None:
        path = self.text("cache-file")
        try:
            with open(path, encoding="ascii") as stream:
                found = uuid.UUID(hex=stream.read().strip()).hex
        except (FileNotFoundError, ValueError):
            found = uuid.uuid4().hex
            make_parents(path)
            atomic_write(path, found, 0o644)
        self.set("uuid", found)


class UserInfo(_Fact):
    """Who runs the profile."""

    OPTIONS: ClassVar[dict[str, str]] = {}

    def setup(self) -> None:
        user = pwd.getpwuid(os.getuid())
        group = grp.getgrgid(os.getgid())
        facts = {
            "pw-name": user.pw_name,
            "pw-uid": str(user.pw_uid),
            "pw-gid": str(user.pw_gid),
            "pw-dir": user.pw_dir,
            "pw-shell": user.pw_shell,
            "gr-name": group.gr_name,
            "gr-gid": str(group.gr_gid),
        }
        for option, value in facts.items():
            self.set(option, value)


class ReadLine(Recipe):
    """``readline``: the first line of ``storage-path``, with its line break, as the field gives it."""

    OPTIONS: ClassVar[dict[str, str]] = {"storage-path": "mandatory", "when-absent": ""}

    def setup(self) -> None:
        path = os.path.join(self.directory, self.text("storage-path"))
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as stream:
                self.set("readline", stream.readline())
            self.is_absent = False
        except FileNotFoundError:
            self.set("readline", self.value("when-absent", None))
            self.is_absent = "when-absent" not in self.view

    def install(self) -> list[str]:
        """:class:`NotReady` while the file is missing and there is nothing instead."""
        if self.is_absent:
            path = self.text("storage-path")
            raise NotReady(f"waiting for the file {path}", reference="waiting-for-file", context={"path": path})
        return []
