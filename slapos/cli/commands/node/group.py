"""``slapos node``: the node of this machine."""

from __future__ import annotations

import click

from slapos.cli.lazy import Entry, LazyGroup

_C = "slapos.cli.commands.node"

ENTRIES = (
    Entry("register", f"{_C}.register:register", "Make this computer a node of a master."),
    Entry("format", f"{_C}.format:format_computer", "Make users, directories and addresses of the partitions."),
    Entry("status", f"{_C}.status:status", "Show partitions, services and releases as this node sees them."),
    Entry("plan", f"{_C}.plan:plan", "Show what would be done now, and why; do nothing."),
    Entry("software", f"{_C}.software:software", "Build and remove releases, once."),
    Entry("instance", f"{_C}.instance:instance", "Process partitions, once."),
    Entry("promise", f"{_C}.promise:promise", "Run the promises of the started instances."),
    Entry("report", f"{_C}.report:report", "Collect and deliver usage, once."),
    Entry("prune", f"{_C}.prune:prune", "Remove built parts that nothing on this node uses."),
    Entry("bang", f"{_C}.bang:bang", "Have every instance of this node processed again."),
    Entry("install-service", f"{_C}.install_service:install_service", "Have systemd run this node."),
    Entry("uninstall-service", f"{_C}.install_service:uninstall_service", "Take the units of this node away."),
    Entry("supervisorctl", f"{_C}.supervisorctl:supervisorctl", "Start, stop or restart services of this node."),
)


@click.group(cls=LazyGroup, entries=ENTRIES, invoke_without_command=True)
@click.pass_context
def node(ctx: click.Context) -> None:
    """Run the node of this machine. Alone, it shows the status."""
    if ctx.invoked_subcommand is None:
        from slapos.cli.commands.node.status import show

        show()
