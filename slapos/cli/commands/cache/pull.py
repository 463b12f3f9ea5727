"""``slapos cache pull``."""

from __future__ import annotations

import click

from slapos.cli.commands.cache.chosen import cache_url, key_words, split_name, store_of, stores_option
from slapos.cli.lazy import Command
from slapos.cli.output import emit, table
from slapos.model.errors import NotFound


@click.command(cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="PART/DIGEST...")
@click.option("--cache", "urls", multiple=True, required=True, metavar="CACHE", help="A cache to ask; repeatable.")
@click.option(
    "--trust", "keys", multiple=True, required=True, metavar="KEY", help="A key to believe, or a file of keys."
)
@click.option("--revoked", multiple=True, metavar="KEY", help="A key, or its id, that is not believed any more.")
@click.option("--signatures", type=click.IntRange(1), default=1, help="How many of the keys must have signed a part.")
@stores_option
def pull(
    names: tuple[str, ...], urls: tuple[str, ...], keys: tuple[str, ...], revoked: tuple[str, ...], signatures: int,
    stores: tuple[str, ...],
) -> None:  # fmt: skip
    """Take parts out of caches into the store, with what they need there; 'slapos build' does it by itself.

    Nothing is taken that is not signed by enough keys, or differs in one byte from what they signed.
    """
    from slapos.build.cache.client import CacheClient
    from slapos.build.cache.settings import CacheSettings

    settings = CacheSettings(tuple(map(cache_url, urls)), key_words(keys), key_words(revoked), signatures)
    client, store = CacheClient(settings), store_of(stores)
    rows = []
    for name in names:
        part, digest = split_name(name)
        if not client.pull_needs(part, digest, store):
            raise client.refusals[-1] if client.refusals else _absent(name, urls)
        rows.append((name, store.location(part, digest)))
    data = {"parts": [{"part": name, "location": location} for name, location in rows]}
    emit(data, lambda: table(("part", "location"), rows, ""))


def _absent(name: str, urls: tuple[str, ...]) -> NotFound:
    return NotFound(
        f"No cache has {name}.",
        reference="not-in-cache",
        context={"part": name, "caches": list(urls)},
        hint="Its digest is that of `slapos build RELEASE --plan`, for this machine's toolchain.",
    )
