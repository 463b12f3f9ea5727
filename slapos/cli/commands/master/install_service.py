"""``slapos master install-service``."""

from __future__ import annotations

import click
from rich.text import Text

from slapos.cli.commands.master.config import open_master_config
from slapos.cli.lazy import Command
from slapos.cli.output import emit
from slapos.cli.site.unit_options import log_format_option, print_option, root_option, show_installed, show_units


@click.command("install-service", cls=Command)
@print_option
@log_format_option
@root_option
def install_service(print_only: bool, log_format: str, root: str) -> None:  # fmt: skip
    """Have systemd run this master: start it with the machine, and again when it ends or hangs."""
    from slapos.cli.site.services import Place, install
    from slapos.cli.site.units import master_units

    units = master_units(open_master_config(), log_format)
    if print_only:
        show_units(units)
        return
    place = Place(root)
    show_installed(install(units, place), place.image)


@click.command("uninstall-service", cls=Command)
@root_option
def uninstall_service(root: str) -> None:  # fmt: skip
    """Stop the master and take its unit away. Nothing that it keeps is touched."""
    from slapos.cli.site.services import Place, uninstall
    from slapos.cli.site.units import MASTER_UNIT

    paths = uninstall(MASTER_UNIT, [], Place(root))
    emit({"removed": paths}, lambda: Text("\n".join(f"removed {path}" for path in paths) or "No unit was installed."))
