"""``slapos store gc``."""

from __future__ import annotations

import click

from slapos.cli.lazy import Command
from slapos.cli.output import emit, table
from slapos.cli.site.stores import chosen_stores
from slapos.model.text import size_text
from slapos.system.as_owner import as_owner


@click.command(cls=Command)
@click.option("--store", "stores", multiple=True, metavar="DIRECTORY", help="Only this store; repeatable.")
@click.option(
    "--keep", type=click.FloatRange(0), default=1.0, metavar="DAYS", help="Keep what is younger; 1 by default."
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and why; remove nothing.")
def gc(stores: tuple[str, ...], keep: float, dry_run: bool) -> None:
    """Remove parts that no release uses, directly or through other parts, and what killed builds left."""
    from slapos.build.store.unused import DAY, removal_data

    plans = []
    for store in chosen_stores(stores):
        plan = as_owner(store.roots[0], removal_data, store, keep * DAY, dry_run)
        plans.append({"store": store.roots[0], "dry_run": dry_run, **plan})
    rows = [
        (part["name"], size_text(part["size"]), verb, part["reason"])
        for plan in plans
        for verb, parts in (("goes" if dry_run else "gone", plan["removed"]), ("stays", plan["kept"]))
        for part in parts
    ]
    emit(
        plans,
        lambda: [
            table(("part", "size", "what", "why"), rows, "Every part is used."),
            *(f"{plan['store']}: {plan['sentence']}" for plan in plans),
        ],
    )
