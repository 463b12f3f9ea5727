"""``slapos node status``."""

from __future__ import annotations

from typing import Any

import click
from rich.console import RenderableType
from rich.text import Text

from slapos.cli.connection import open_node_config
from slapos.cli.lazy import Command
from slapos.cli.output import emit, state, table
from slapos.cli.views import ago, fields, short_release
from slapos.model.text import size_text


@click.command(cls=Command)
def status() -> None:
    """Show partitions, services and releases as this node sees them. The master is not asked."""
    show()


def show() -> None:
    from slapos.node import operations

    found = operations.status(open_node_config())
    emit(found, lambda: view(found))


def view(found: dict[str, Any]) -> list[RenderableType]:
    releases = [
        (short_release(item["release"]), item["wanted"], state(item["outcome"]), item["sentence"])
        for item in found["releases"]
    ]
    return [
        fields(
            [
                ("node", f"{found['node']} ({found['name']})"),
                ("master", found["master_url"]),
                ("daemon", state("running" if found["daemon"] else "stopped")),
                ("supervisor", state("running" if found["supervisor"] else "stopped")),
                ("reports not delivered", str(found["undelivered"])),
                ("metrics", found["metrics"]["address"]),
                *((f"{what} use not counted", why) for what, why in found["metrics"]["uncounted"].items()),
                ("store", store(found["store"])),
            ]
        ),
        Text("\nreleases", style="bold"),
        table(("release", "wanted", "last outcome", "sentence"), releases, "No release is supplied."),
        Text("\npartitions", style="bold"),
        table(("partition", "title", "wanted", "services", "promises", "last run"), rows(found["partitions"]), "None."),
    ]


def store(found: dict[str, Any]) -> str:
    if not found["at"] and not found["unused"]:
        return "no part was ever unused"
    freed = f"{size_text(found['freed'])} freed {ago(int(found['at']))}, " if found["at"] else ""
    return f"{freed}{len(found['unused'])} unused parts wait for the end of their grace time"


def rows(partitions: list[dict[str, Any]]) -> list[tuple[RenderableType, ...]]:
    return [
        (
            item["partition"],
            Text(item["title"] or item["instance"]),
            state(item["wanted"]),
            services(item["services"]),
            promises(item["promises"]),
            Text(item["sentence"] or item["run"]),
        )
        for item in partitions
    ]


def services(found: list[dict[str, Any]]) -> Text:
    return Text("\n").join(Text.assemble(item["name"], " ", state(item["state"])) for item in found)


def promises(found: list[dict[str, Any]]) -> Text:
    failed = [item["name"] for item in found if not item["ok"]]
    if failed:
        return Text("\n").join(Text(f"✗ {name}", style="red") for name in failed)
    return Text(f"{len(found)} ok" if found else "")
