"""What the commands that install units have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
from rich.text import Text

from slapos.cli.output import emit

if TYPE_CHECKING:
    from slapos.cli.site.units import Unit

print_option = click.option("--print", "print_only", is_flag=True, help="Show the units; do nothing.")
log_format_option = click.option(
    "--log-format",
    type=click.Choice(["journal", "json", "text"]),
    default="journal",
    show_default=True,
    help="How the log is written: lines with their priority, one JSON object a line, or lines with date and level.",
)
root_option = click.option(
    "--root", default="/", metavar="DIRECTORY", help="The image of a machine; nothing is started there."
)


def show_units(units: Iterable[Unit]) -> None:
    """As they would be written."""
    found = list(units)
    data = {unit.name: unit.text for unit in found}
    emit(data, lambda: Text("\n".join(f"# {unit.name}\n{unit.text}" for unit in found), no_wrap=True))


def show_installed(paths: list[str], image: bool) -> None:
    """What was done."""
    done = "enabled" if image else "enabled and running"
    emit({"installed": paths}, lambda: Text("\n".join(f"{path}: {done}" for path in paths)))
