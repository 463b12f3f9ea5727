"""``slapos store check``."""

from __future__ import annotations

import click

from slapos.cli.lazy import Command
from slapos.cli.output import emit, table
from slapos.cli.site.stores import chosen_stores
from slapos.system.as_owner import as_owner


@click.command(cls=Command)
@click.option("--store", "stores", multiple=True, metavar="DIRECTORY", help="Only this store; repeatable.")
def check(stores: tuple[str, ...]) -> int:
    """Read every part and compare it with the digest in its record; the exit status is 1 when one is altered.

    An altered part is not removed: ask first what altered it. `slapos build` makes it again once it is gone.
    """
    from slapos.build.store.contents import altered_data

    found = []
    for store in chosen_stores(stores):
        found += as_owner(store.roots[0], altered_data, store)
    rows = [(part["location"], part["recorded"][:16], part["found"][:16]) for part in found]
    emit(found, lambda: table(("part", "built as", "is now"), rows, "Every part is as it was built."))
    return 1 if found else 0
