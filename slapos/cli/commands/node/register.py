"""``slapos node register NAME``."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import click
from rich.text import Text

from slapos.cli.lazy import Command
from slapos.cli.output import emit
from slapos.cli.site.layout import Layout, catalogue_directory
from slapos.slap.config import state_directory
from slapos.system.short_paths import run_directory


@click.command(cls=Command)
@click.argument("name", metavar="NAME")
@click.option("--master-url", required=True, metavar="URL", help="Address of the master.")
@click.option("--token", required=True, help="One-time token of the operator ('slapos token node').")
@click.option(
    "--master-ca-file",
    default="",
    metavar="FILE",
    help="Certificate of the master's authority, when the token does not name it.",
)
@click.option("--partition-number", default=10, show_default=True, help="How many instances it can hold.")
@click.option("--node-number", default=1, show_default=True, help="1 to 250, another for each node of one machine.")
@click.option("--name-prefix", default="hox", show_default=True, help="Begins the names of its Unix users.")
@click.option("--software-root", default="", metavar="DIRECTORY", help="Where releases are built.")
@click.option("--instance-root", default="", metavar="DIRECTORY", help="Where partitions lie.")
@click.option("--ipv4/--no-ipv4", default=True, help="Whether partitions have IPv4 addresses.")
@click.option("--ipv6/--no-ipv6", default=True, help="Whether partitions have IPv6 addresses.")
@click.option("--dry-run", "-n", is_flag=True, help="Show the configuration; do nothing.")
def register(name: str, **options: Any) -> None:  # fmt: skip
    """Make this computer a node, called NAME. Its key is made here and never leaves it.

    Then 'slapos node format' makes its partitions, and 'slapgrid' runs it.
    """
    from slapos.node.register import register as enrol

    layout = Layout(state=state_directory(), catalogue=catalogue_directory(), node=name)
    wished = wished_config(layout, options)
    if options["dry_run"]:
        emit(dataclasses.asdict(wished), lambda: [Text(f"{key} = {value}") for key, value in vars(wished).items()])
        return
    config = enrol(layout.node_directory, wished, options["token"], ca_file=options["master_ca_file"])
    data = {"node": config.computer_id, "configuration": os.path.join(layout.node_directory, "slapos.cfg")}
    emit(
        data,
        lambda: Text(f"This computer is the node {config.computer_id}; its configuration is {layout.node_config}."),
    )


def wished_config(layout: Layout, options: dict[str, Any]) -> Any:
    """Everything but the identity that the master gives."""
    from slapos.node.register import site_config

    base = site_config(
        layout.node_directory,
        name=layout.node,
        master_url=options["master_url"].rstrip("/"),
        run_directory=run_directory(layout.state, layout.node),
    )
    return dataclasses.replace(
        base,
        partition_amount=options["partition_number"],
        node_number=options["node_number"],
        name_prefix=options["name_prefix"],
        software_root=os.path.abspath(options["software_root"] or base.software_root),
        instance_root=os.path.abspath(options["instance_root"] or base.instance_root),
        ipv4=options["ipv4"],
        ipv6=options["ipv6"],
    )
