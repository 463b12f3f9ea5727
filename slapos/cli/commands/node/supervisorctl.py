"""``slapos node supervisorctl``."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from rich.text import Text

from slapos.cli.connection import open_node_config
from slapos.cli.lazy import Command
from slapos.cli.output import emit, state, table
from slapos.cli.views import ago
from slapos.model.errors import InputError, NotFound

ACTIONS = ("status", "start", "stop", "restart")


@click.command(cls=Command)
@click.argument("action", type=click.Choice(ACTIONS), default="status")
@click.argument("names", nargs=-1, metavar="[PARTITION:SERVICE|PARTITION:*|all]…")
def supervisorctl(action: str, names: tuple[str, ...]) -> None:
    """Show, start, stop or restart services of this node, by hand.

    The node brings back what is wanted when it next looks at the partition.
    """
    from slapos.node.wiring import open_supervisor

    supervisor = open_supervisor(open_node_config())
    known = supervisor.services()
    chosen = [name for name in known if not names or any(matches(name, pattern) for pattern in names)]
    if action != "status":
        check_chosen(names, chosen, known)
        act: Callable[[str], None] = getattr(supervisor, action)
        for name in chosen:
            act(name)
    found = {name: status for name, status in supervisor.services().items() if name in chosen}
    rows = [(name, state(item.state), str(item.pid or ""), ago(int(item.since))) for name, item in found.items()]
    emit(
        [
            {"name": name, "state": str(item.state), "pid": item.pid, "since": item.since}
            for name, item in found.items()
        ],
        lambda: (
            table(("service", "state", "pid", "since"), rows, "There are no services.")
            if rows
            else Text("No services.")
        ),
    )


def check_chosen(names: tuple[str, ...], chosen: list[str], known: Iterable[str]) -> None:
    hint = "PARTITION:SERVICE, PARTITION:* or all."
    if not names:
        raise InputError("Name the services.", reference="no-service-named", context={"field": "names"}, hint=hint)
    if not chosen:
        raise NotFound(
            f"No service of this node is called {', '.join(names)}.",
            reference="no-such-service",
            context={"services": sorted(known)},
            hint=hint,
        )


def matches(name: str, pattern: str) -> bool:
    """``all``, a whole partition (``slappart0:*`` or ``slappart0``), or one service."""
    partition = name.partition(":")[0]
    return pattern in ("all", name, partition, f"{partition}:*")
