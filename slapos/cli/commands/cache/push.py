"""``slapos cache push``."""

from __future__ import annotations

import click

from slapos.cli.commands.cache.chosen import built_parts, cache_url, key_option, store_of, stores_option
from slapos.cli.commands.cache.shown import emit_pushed
from slapos.cli.lazy import Command


@click.command(cls=Command)
@click.argument("url", metavar="CACHE")
@click.argument("names", nargs=-1, metavar="[PART]...")
@key_option
@stores_option
@click.option("--replace", is_flag=True, help="Put yours in the place of what differs, whoever signed that.")
@click.option("--sources", is_flag=True, help="The sources that the parts were made from too.")
@click.option("--download-cache", default="", metavar="DIRECTORY", help="Where these sources are.")
def push(  # noqa: PLR0913, PLR0917  (one argument per option)
    url: str, names: tuple[str, ...], key_file: str, stores: tuple[str, ...], replace: bool, sources: bool,
    download_cache: str,
) -> None:  # fmt: skip
    """Put parts of the store into CACHE: a directory, http(s)://… or s3://bucket/prefix?endpoint=….

    Without PART all that were built here; a part is named PART or PART/DIGEST, and what it needs comes with it.  What
    CACHE has already is signed too when it is the same, byte by byte.  A server wants a token in
    HYPEROPENX_CACHE_TOKEN, an S3 storage credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    """
    from slapos.build.cache import publish
    from slapos.build.cache.places import open_place
    from slapos.build.cache.signing import SigningKey
    from slapos.cli.site.builds import download_cache_of_machine

    key, place, store = SigningKey.load(key_file), open_place(cache_url(url)), store_of(stores)
    parts = built_parts(store, names)
    done = [publish.push(part, store, place, key, replace=replace) for part in parts]
    if sources:
        digests = dict.fromkeys(digest for part in parts for digest in part.record.sources)
        done += publish.push_sources(digests, download_cache or download_cache_of_machine(), place)
    emit_pushed(done, place.url)
