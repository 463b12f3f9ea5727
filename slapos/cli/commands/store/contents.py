"""``slapos store list``."""

from __future__ import annotations

import click

from slapos.cli.lazy import Command
from slapos.cli.output import emit, table
from slapos.cli.site.stores import chosen_stores
from slapos.cli.views import ago, duration
from slapos.model.text import size_text
from slapos.system.as_owner import as_owner


@click.command(cls=Command)
@click.option("--store", "stores", multiple=True, metavar="DIRECTORY", help="Only this store; repeatable.")
def contents(stores: tuple[str, ...]) -> None:
    """Show the parts of the stores of this machine, the last built first, with how many releases use them."""
    from slapos.build.store.contents import contents_data

    found = []
    for store in chosen_stores(stores):
        found += as_owner(store.roots[0], contents_data, store)
    found.sort(key=lambda entry: -entry["built_at"])
    rows = [
        (
            entry["name"],
            size_text(entry["size"]),
            ago(int(entry["built_at"])),
            duration(entry["seconds"]),
            str(len(entry["users"])),
            entry["root"],
        )
        for entry in found
    ]
    columns = ("part", "size", "built", "took", "users", "store")
    emit(found, lambda: table(columns, rows, "No store has a part."))
