"""``slapos cache gc``."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from slapos.cli.commands.cache.chosen import cache_url
from slapos.cli.lazy import Command
from slapos.cli.output import emit, table
from slapos.model.text import size_text


@click.command(cls=Command)
@click.argument("url", metavar="CACHE")
@click.option("--older-than", type=click.FloatRange(0), metavar="DAYS", help="Remove parts that were put there before.")
@click.option("--max-size", metavar="SIZE", help="Remove the oldest until so much is left, such as 20G.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and why; remove nothing.")
def gc(url: str, older_than: float | None, max_size: str | None, dry_run: bool) -> None:
    """Remove from CACHE (a directory or S3 storage) what no part names any more, and what these options ask for.

    A part that stays keeps those that it names.
    """
    from slapos.build.cache.gc import Rules, collect, plan_collection, read_contents
    from slapos.build.cache.places import open_place
    from slapos.node.config import parse_size

    place = open_place(cache_url(url))
    contents = read_contents(place)
    age = None if older_than is None else older_than * 86400
    size = None if max_size is None else parse_size("--max-size", max_size)
    removals = plan_collection(contents, Rules(time.time(), age, size))
    removed = 0 if dry_run else collect(place, removals)
    left = contents.size - removed
    data = {"cache": place.url, "removed": [asdict(one) for one in removals], "dry_run": dry_run, "left": left}
    rows = [(one.path, size_text(one.size), one.why) for one in removals]
    emit(
        data,
        lambda: [table(("path", "size", "why"), rows, "Nothing need go."), f"{place.url} has {size_text(left)} now."],
    )
