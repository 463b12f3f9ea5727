"""Options that several commands of ``slapos cache`` have, and what they name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from slapos.model.errors import InputError, NotFound

if TYPE_CHECKING:
    from slapos.build.store.store import Store, StoredPart

stores_option = click.option(
    "--store",
    "stores",
    multiple=True,
    metavar="DIRECTORY",
    help="The store; repeatable. Default: those of slapos build.",
)
key_option = click.option(
    "--key", "key_file", required=True, type=click.Path(dir_okay=False), metavar="FILE", help="Your key (see keygen)."
)
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def store_of(stores: Sequence[str]) -> Store:
    """The store that was named, or that of ``slapos build``."""
    from slapos.build.store.store import Store
    from slapos.cli.site.builds import stores_of_machine

    return Store(stores_of_machine(stores))


def cache_url(text: str) -> str:
    """A directory may be named by a relative path."""
    return text if "://" in text else os.path.abspath(text)


def key_words(words: Iterable[str]) -> tuple[str, ...]:
    """Texts of keys, and files of them by a relative path too."""
    return tuple(os.path.abspath(word) if os.path.exists(word) else word for word in words)


def built_parts(store: Store, names: Sequence[str]) -> list[StoredPart]:
    """The parts of ``store`` that were built here, each after what it needs; ``names``: only these (``part`` or
    ``part/digest``) and what they need."""
    parts = {found.record.name: found for found in store.parts()}
    wanted: dict[str, None] = {}
    for name in names or parts:
        matching = [full for full in parts if name in (full, full.partition("/")[0])]
        if not matching:
            raise NotFound(
                f"The store has no part {name}.",
                reference="no-such-part",
                context={"part": name, "stores": list(store.roots)},
                hint="Build the release that uses it, or name its store with --store.",
            )
        for full in matching:
            _with_needs(full, parts, wanted)
    return [parts[name] for name in wanted if not parts[name].record.fetched]


def _with_needs(name: str, parts: dict[str, StoredPart], found: dict[str, None]) -> None:
    if name in found or name not in parts:
        return
    for need in parts[name].record.needs:
        _with_needs(need, parts, found)
    found[name] = None


def split_name(name: str) -> tuple[str, str]:
    """``part/digest`` as two; :class:`InputError` ``invalid-part-name`` for what is none."""
    part, slash, digest = name.partition("/")
    if not slash:
        raise InputError(
            f"{name!r} is not PART/DIGEST.",
            reference="invalid-part-name",
            context={"part": name},
            hint="`slapos build RELEASE --plan` shows the digests.",
        )
    return part, digest
