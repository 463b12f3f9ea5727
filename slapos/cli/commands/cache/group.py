"""``slapos cache``: binary caches of built parts and of sources."""

from __future__ import annotations

import click

from slapos.cli.lazy import Entry, LazyGroup

_C = "slapos.cli.commands.cache"

ENTRIES = (
    Entry("keygen", f"{_C}.keygen:keygen", "Make a key to sign parts with."),
    Entry("push", f"{_C}.push:push", "Put built parts into a cache, signed."),
    Entry("sign", f"{_C}.sign:sign", "Sign what a cache has already."),
    Entry("pull", f"{_C}.pull:pull", "Take parts out of a cache."),
    Entry("serve", f"{_C}.serve:serve", "Serve a directory as a cache over HTTP."),
    Entry("gc", f"{_C}.gc:gc", "Remove what a cache need not keep."),
)


@click.group(cls=LazyGroup, entries=ENTRIES)
def cache() -> None:
    """Share built parts: push them to a cache, pull them from it, serve it."""
