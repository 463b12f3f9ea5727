"""One round of the node in the foreground: what ``software``, ``instance``, ``report`` and ``promise`` share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click
from rich.console import RenderableType
from rich.text import Text

from slapos.cli.connection import open_node_config
from slapos.cli.output import emit, error_lines, say, state, table
from slapos.model.objects import InstanceReport, SupplyStatus
from slapos.model.states import Health, SupplyReport

if TYPE_CHECKING:
    from slapos.node.plan import Action

_F = TypeVar("_F", bound=Callable[..., Any])
_WORDS = {"ok": "ok", "waiting": "waiting", "failed": "error"}

#: ``--only-cp`` is the existing tool's name.
only_partitions = click.option(
    "--only",
    "--only-cp",
    "only",
    multiple=True,
    metavar="PARTITION",
    help="Only this partition; comma-separated or repeated.",
)


def forced(command: _F) -> _F:
    """The options of a round that can also process what is as it is wanted."""
    now = click.option("--now", is_flag=True, hidden=True, help="As always; an option of the existing tool.")
    force = click.option("--force", "--all", "force", is_flag=True, help="Also what is as it is wanted.")
    return force(now(command))


def run_round(kind: Literal["software", "instance", "report", "promise"], only: Iterable[str]) -> list[dict[str, Any]]:
    """Run and print one round of this machine's node; the results of :func:`slapos.node.operations.run_once`."""
    from slapos.node import operations

    def told(report: InstanceReport | SupplyStatus) -> None:
        if isinstance(report, InstanceReport):
            going_on, subject = report.health is Health.WORKING, report.guid
        else:
            going_on, subject = report.reported is SupplyReport.BUILDING, report.release
        if going_on:  # the last report is in the table
            say(Text(f"  {subject}: {report.sentence}", style="dim"))

    def acting(action: Action) -> None:
        say(Text(f"  {action}", style="dim"))

    results = operations.run_once(open_node_config(), kind, only=only, say=told, on_action=acting)
    emit(results, lambda: view(results))
    return results


def view(results: list[dict[str, Any]]) -> list[RenderableType]:
    """One line for each subject, and all four parts of each error."""
    rows = [
        (item["subject"], state(_WORDS[item["settled"]]), "see below" if item["error"] else item["sentence"])
        for item in results
    ]
    shown: list[RenderableType] = [table(("subject", "result", "sentence"), rows, "There is nothing to do.")]
    for item in results:
        if item["error"]:
            shown += [Text(""), Text(item["subject"], style="bold"), *error_lines(item["error"])]
    return shown


def force_releases(only: Iterable[str]) -> None:
    """The chosen releases (all, without ``only``) count as not built: the next round builds them again."""
    from slapos.build.release import forget_completion, release_directory
    from slapos.node import operations
    from slapos.node.layout import release_key

    config = open_node_config()
    chosen = split(only)
    for item in operations.status(config)["releases"]:
        if not chosen or item["release"] in chosen or release_key(item["release"]) in chosen:
            forget_completion(release_directory(config.software_root, item["release"]))


def force_instances(only: Iterable[str]) -> None:
    """The chosen partitions (all, without ``only``) are processed although nothing changed."""
    from slapos.node import operations
    from slapos.node.context import make_client

    config = open_node_config()
    chosen = split(only)
    if not chosen:
        operations.bang(config, "node instance --force")
        return
    client = make_client(config)
    try:
        for item in operations.status(config)["partitions"]:
            if item["partition"] in chosen and item["instance"]:
                client.bang(item["instance"], "node instance --force")
    finally:
        client.close()


def split(only: Iterable[str]) -> set[str]:
    """Names given comma-separated, or one at a time."""
    return {name for item in only for name in item.split(",") if name}


def leave(results: list[dict[str, Any]], code: int) -> None:
    """End with ``code`` when a subject failed; waiting is not failing."""
    if any(item["settled"] == "failed" for item in results):
        raise click.exceptions.Exit(code)
