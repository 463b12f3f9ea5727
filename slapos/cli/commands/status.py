"""``slapos status``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click
from rich.console import RenderableType
from rich.text import Text

from slapos.cli.lazy import Command
from slapos.cli.output import emit, state, table
from slapos.cli.site.layout import site_layout
from slapos.cli.views import ago, instance_table, node_table, supply_table

if TYPE_CHECKING:
    from slapos.cli.site.status import SiteStatus


@click.command(cls=Command)
def status() -> None:
    """Show the master, the node and the instances of this machine."""
    from slapos.cli.site.status import look

    found = look(site_layout())
    emit(dataclasses.asdict(found), lambda: view(found))


def view(found: SiteStatus) -> list[RenderableType]:
    if not found.made:
        return [Text(f"There is no site in {found.state}. Make one with 'slapos up'.")]
    programs = [
        (program.name, state(program.state), str(program.pid or ""), ago(program.since) if program.running else "")
        for program in found.programs
    ]
    parts: list[RenderableType] = [
        table(("program", "state", "pid", "started"), programs, ""),
        Text(f"\nmaster at {found.api}", style="bold"),
    ]
    if found.problem:
        return [*parts, Text(found.problem, style="red")]
    for node in found.nodes:
        parts += [node_table([node]), Text(""), supply_table(node.supplies)]
    return [*parts, Text("\ninstances", style="bold"), instance_table(found.instances)]
