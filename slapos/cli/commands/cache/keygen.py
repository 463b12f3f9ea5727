"""``slapos cache keygen``."""

from __future__ import annotations

import os

import click
from rich.text import Text

from slapos.cli.lazy import Command
from slapos.cli.output import emit


@click.command(cls=Command)
@click.argument("file", type=click.Path(dir_okay=False), metavar="FILE")
def keygen(file: str) -> None:
    """Make an Ed25519 key: FILE is the secret half, FILE.pub the public one, which nodes are told to believe."""
    from slapos.build.cache.signing import SigningKey
    from slapos.system.files import atomic_write

    key = SigningKey.new()
    key.save(os.path.abspath(file))
    public = key.public
    atomic_write(os.path.abspath(f"{file}.pub"), f"{public.text}  # {os.path.basename(file)}, id {public.id}\n")
    data = {"id": public.id, "public": public.text, "file": os.path.abspath(file)}
    emit(data, lambda: Text(f"{public.text}\nIts id is {public.id}.", no_wrap=True))
