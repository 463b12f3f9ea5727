"""A store with parts that look like real ones, and a cache beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slapos.build.cache.client import CacheClient
from slapos.build.cache.places import DirectoryPlace
from slapos.build.cache.publish import Pushed, push
from slapos.build.cache.settings import CacheSettings
from slapos.build.cache.signing import SigningKey
from slapos.build.store.inputs import Inputs
from slapos.build.store.store import Store, StoredPart

KEY = SigningKey.new()
OTHER_KEY = SigningKey.new()


def inputs(part: str = "tool", **more: object) -> Inputs:
    return Inputs(part=part, recipe="hyperopenx:cmmi", identity="interface=1 source=0", **more)  # type: ignore[arg-type]


def build(
    store: Store, made_from: Inputs, files: Mapping[str, str | bytes], links: Mapping[str, str] | None = None
) -> str:
    """Put a part into ``store``; ``@LOCATION@`` in texts and targets is where it will lie."""
    with store.building(made_from.part, made_from.digest) as building:
        assert building is not None
        for name, content in files.items():
            path = Path(building.tree, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            data = content.encode() if isinstance(content, str) else content
            path.write_bytes(data.replace(b"@LOCATION@", os.fsencode(building.location)))
            path.chmod(0o755 if name.startswith("bin/") else 0o644)
        for name, target in (links or {}).items():
            path = Path(building.tree, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target.replace("@LOCATION@", building.location))
        building.stages["make"] = 12.5
        building.sandbox = "bubblewrap"
        building.finish(made_from)
        return building.location


FILES = {
    "bin/tool": "#!/bin/sh\necho from @LOCATION@\n",
    "share/greeting": "hello\n" * 2000,
    "share/deep/er/empty": "",
}
LINKS = {"bin/other": "tool", "share/absolute": "@LOCATION@/share/greeting"}


@dataclass
class Stage:
    """``builder`` has parts, ``cache`` is where they go, ``node`` is where they come to."""

    top: Path

    def __post_init__(self) -> None:
        self.builder = Store((str(self.top / "builder"),))
        self.node = Store((str(self.top / "builder"),))
        self.cache = DirectoryPlace(str(self.top / "cache"))

    @property
    def cache_directory(self) -> Path:
        return self.top / "cache"

    def stored(self, made_from: Inputs | None = None) -> StoredPart:
        wanted = (made_from or inputs()).digest
        return next(found for found in self.builder.parts() if found.digest == wanted)

    def publish(self, made_from: Inputs | None = None, key: SigningKey = KEY, **more: bool) -> Pushed:
        return push(self.stored(made_from), self.builder, self.cache, key, **more)

    def move_away(self) -> None:
        """The store of the builder is somewhere else from now on; the node's is empty, at the same path."""
        os.rename(self.top / "builder", self.top / "builder-was-here")

    def client(self, *urls: str, keys: tuple[SigningKey, ...] = (KEY,), **more: object) -> CacheClient:
        words = tuple(key.public.text for key in keys)
        return CacheClient(CacheSettings(urls or (self.cache.url,), words, **more))  # type: ignore[arg-type]

    def is_clean(self) -> bool:
        """Nothing of a part lies in the node's store, finished or not."""
        root = Path(self.node.roots[0])
        left = [path for path in root.rglob("*") if path.is_file() and path.parent.name != ".locks"]
        return not left and not list(root.glob(".work/*")) and not list(self.node.parts())


def snapshot(directory: str) -> dict[str, tuple[int, bytes | str]]:
    """Name → mode and bytes or target, of everything below."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(Path(directory).rglob("*")):
        mode = path.lstat().st_mode
        name = str(path.relative_to(directory))
        if name != ".hyperopenx-part.json":
            found[name] = (
                mode,
                os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b"",
            )
    return found
