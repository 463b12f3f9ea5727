"""``slapos down``."""

from __future__ import annotations

import click
from rich.text import Text

from slapos.cli.lazy import Command
from slapos.cli.output import emit
from slapos.cli.progress import Progress
from slapos.cli.site.layout import site_layout


@click.command(cls=Command)
def down() -> None:
    """Stop all that 'up' started: services, node daemon, master. Nothing is deleted; 'up' goes on from there."""
    from slapos.cli.site.down import take_down

    stopped = take_down(site_layout(), Progress.for_person())
    data = {"programs": list(stopped.programs), "services": list(stopped.services)}
    names = [*stopped.programs, *stopped.services]
    emit(data, lambda: Text(f"Stopped {', '.join(names)}." if names else "Nothing was running."))
