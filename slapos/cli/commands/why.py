"""``slapos why``."""

from __future__ import annotations

from typing import Any

import click

from slapos.cli.lazy import Command
from slapos.cli.output import emit


@click.command(cls=Command)
@click.argument("part", metavar="PART")
@click.argument("profile", metavar="RELEASE")
@click.option("--store", "stores", multiple=True, metavar="DIRECTORY", help="A store to look into; repeatable.")
@click.option("--cache", "caches", multiple=True, metavar="URL", help="A binary cache to ask; repeatable.")
@click.option("--key", "keys", multiple=True, metavar="KEY", help="A key, or a file of keys, that the caches must use.")
@click.option("--signatures", type=click.IntRange(1), default=1, help="How many of the keys must have signed a part.")
@click.option("--directory", default="", metavar="DIRECTORY", help="Where the release was built.")
def why(part: str, profile: str, **where: Any) -> None:
    """Say why PART of RELEASE would be built or not: which input changed, through which other parts, on which line.

    It is compared with what the release was last built with, else with the last build of a part of that name.
    """
    from slapos.build.look import look
    from slapos.cli.site.builds import chosen_release

    looked = look(chosen_release(profile, where))
    explanation = looked.why(part)

    def render() -> Any:
        from slapos.cli.plans import why_view

        return why_view(explanation)

    emit(explanation.as_data(), render)
