"""``slapos complete``."""

from __future__ import annotations

import os
import sys

import click
from click.shell_completion import get_completion_class

from slapos.cli.lazy import Command
from slapos.model.errors import InputError

SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Command)
@click.argument("shell", required=False, metavar="[bash|zsh|fish]")
def complete(shell: str | None) -> None:
    """Print the code that completes slapos commands in your shell.

    In bash: eval "$(slapos complete bash)". Without SHELL, that of $SHELL is taken.
    """
    name = shell or os.path.basename(os.environ.get("SHELL", "bash"))
    if name not in SHELLS:
        raise InputError(
            f"There is no completion for {name!r}.",
            reference="unknown-shell",
            context={"shell": name, "shells": list(SHELLS)},
            hint="Name one of the shells.",
        )
    from slapos.cli.main import slapos

    kind = get_completion_class(name)
    assert kind is not None
    sys.stdout.write(kind(slapos, {}, "slapos", "_SLAPOS_COMPLETE").source() + "\n")
