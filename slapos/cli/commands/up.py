"""``slapos up``."""

from __future__ import annotations

import dataclasses
import os
import sys

import click
from rich.console import RenderableType
from rich.text import Text

from slapos.cli.lazy import Command
from slapos.cli.output import emit
from slapos.cli.progress import Progress
from slapos.cli.site.layout import site_layout
from slapos.cli.views import fields

INTERRUPTED = """
Interrupted. What was started goes on in the background: a build continues, the order stands.
  go on watching   {up}
  stop it all      {down}
"""


@click.command(cls=Command)
def up() -> None:
    """Start a master and a node on this machine, build the website from source, order one, and print its address.

    Run again, it starts what does not run, changes nothing else, and takes seconds.
    """
    from slapos.cli.site.up import Site, bring_up

    layout = site_layout()
    try:
        site: Site = bring_up(layout, Progress.for_person())
    except KeyboardInterrupt:
        command = shortest(layout.command)
        sys.stderr.write(INTERRUPTED.format(up=f"{command} up", down=f"{command} down"))
        raise click.exceptions.Exit(130) from None
    data = {
        "url": site.url,
        "api": site.api,
        "ca": site.ca,
        "command": site.command,
        "instance": dataclasses.asdict(site.instance),
    }
    emit(data, lambda: result(site.url, site.api, site.ca, site.command))


def result(url: str, api: str, ca: str, command: str) -> list[RenderableType]:
    """The addresses, and three commands that work as they are printed."""
    slapos, ca = shortest(command), shortest(ca)
    order = f"{slapos} request website"
    shown = fields(
        [
            ("website", Text(url or "stopped by its owner; start it with --state started", style="bold green")),
            ("API", Text(api, style="bold")),
            *([("fetch it", f"curl --cacert {ca} {url}")] if url else []),
        ]
    )
    commands = fields(
        [
            ("change it", f'{order} --parameters title="Hello" --wait'),
            ("look at it", f"{slapos} service info website"),
            ("destroy it", f"{order} --state destroyed --wait"),
        ]
    )
    return [Text(""), shown, Text("\nTry next", style="bold"), commands]


def shortest(path: str) -> str:
    """Relative to where the person stands, when that is shorter."""
    relative = os.path.relpath(path)
    if relative.startswith("..") or len(relative) >= len(path):
        return path
    return relative if "/" in relative else f"./{relative}"
