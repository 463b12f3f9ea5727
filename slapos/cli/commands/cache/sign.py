"""``slapos cache sign``."""

from __future__ import annotations

import click

from slapos.cli.commands.cache.chosen import (
    built_parts,
    cache_url,
    key_option,
    key_words,
    split_name,
    store_of,
    stores_option,
)
from slapos.cli.commands.cache.shown import emit_pushed
from slapos.cli.lazy import Command
from slapos.model.errors import InputError


@click.command(cls=Command)
@click.argument("url", metavar="CACHE")
@click.argument("names", nargs=-1, metavar="[PART/DIGEST]...")
@key_option
@stores_option
@click.option("--believing", multiple=True, metavar="KEY", help="Sign what this key signed; repeatable.")
@click.option("--signatures", type=click.IntRange(1), default=1, help="How many of these keys must have signed.")
def sign(
    url: str,
    names: tuple[str, ...],
    key_file: str,
    stores: tuple[str, ...],
    believing: tuple[str, ...],
    signatures: int,
) -> None:
    """Add your signature to parts that CACHE has.

    You sign what you built: the parts of your store, when CACHE holds exactly the same.  With --believing you sign,
    without building, the named parts that keys of yours signed before: so a new key takes the place of an old one.
    """
    from slapos.build.cache.places import open_place
    from slapos.build.cache.publish import countersign, sign_built
    from slapos.build.cache.settings import CacheSettings
    from slapos.build.cache.signing import SigningKey

    key, place = SigningKey.load(key_file), open_place(cache_url(url))
    if believing:
        if not names:
            raise InputError("Name the parts that are to be signed, as PART/DIGEST.", reference="usage")
        trust = CacheSettings((), key_words(believing), (), signatures).trust
        done = [countersign(*split_name(name), place, key, trust) for name in names]
    else:
        store = store_of(stores)
        done = [sign_built(part, store, place, key) for part in built_parts(store, names)]
    emit_pushed(done, place.url)
