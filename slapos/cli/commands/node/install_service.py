"""``slapos node install-service``."""

from __future__ import annotations

import os

import click
from rich.text import Text

from slapos.cli.connection import node_config_path, open_node_config
from slapos.cli.lazy import Command
from slapos.cli.output import emit
from slapos.cli.site.unit_options import log_format_option, print_option, root_option, show_installed, show_units


@click.command("install-service", cls=Command)
@print_option
@log_format_option
@root_option
def install_service(print_only: bool, log_format: str, root: str) -> None:  # fmt: skip
    """Have systemd run this node: start it with the machine, and again when it ends or hangs.

    The services have a unit of their own: they go on when the daemon is stopped, upgraded or started again.
    """
    from slapos.cli.site.services import Place, install
    from slapos.cli.site.units import node_units
    from slapos.node.supervise import check_stopped, name_unit

    config = open_node_config()
    units = node_units(config, os.path.abspath(node_config_path()), log_format)
    if print_only:
        show_units(units)
        return
    place = Place(root)
    place.check()
    if not place.image and not os.path.exists(place.path(units[1].name)):
        check_stopped(config)
    name_unit(config, units[1].name, root)
    try:
        paths = install(reversed(units), place)
    except BaseException:
        name_unit(config, "", root)
        raise
    show_installed(paths, place.image)


@click.command("uninstall-service", cls=Command)
@root_option
def uninstall_service(root: str) -> None:  # fmt: skip
    """Take the units of this node away. The daemon is stopped; the services go on."""
    from slapos.cli.site.services import Place, uninstall
    from slapos.cli.site.units import node_unit
    from slapos.node.layout import supervisor_unit
    from slapos.node.supervise import name_unit

    config = open_node_config()
    paths = uninstall(node_unit(config.name), [supervisor_unit(config.name)], Place(root))
    name_unit(config, "", root)
    emit({"removed": paths}, lambda: Text("\n".join(f"removed {path}" for path in paths) or "No unit was installed."))
