"""One round of the node in the foreground: what ``software``, ``instance``, ``report`` and ``promise`` share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.text import Text

from slapos.cli.connection import open_node_config
from slapos.cli.output import emit, say, state, table
from slapos.model.objects import InstanceReport, SupplyStatus

if TYPE_CHECKING:
    from slapos.node.plan import Action

_WORDS = {"ok": "ok", "waiting": "waiting", "failed": "error"}


def run_round(kind: Literal["software", "instance", "report", "promise"], only: Iterable[str]) -> list[dict[str, Any]]:
    """Run and print one round of this machine's node; the results of :func:`slapos.node.operations.run_once`."""
    from slapos.node import operations

    def told(report: InstanceReport | SupplyStatus) -> None:
        subject = report.guid if isinstance(report, InstanceReport) else report.release
        say(Text(f"{subject}: {report.sentence}"))

    def acting(action: Action) -> None:
        say(Text(f"  {action}", style="dim"))

    results = operations.run_once(open_node_config(), kind, only=only, say=told, on_action=acting)
    rows = [(item["subject"], state(_WORDS[item["settled"]]), item["sentence"]) for item in results]
    emit(results, lambda: table(("subject", "result", "sentence"), rows, "There is nothing to do."))
    return results


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
