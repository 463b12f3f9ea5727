"""``slapos cache serve``."""

from __future__ import annotations

import os

import click

from slapos.cli.lazy import Command
from slapos.cli.output import say
from slapos.model.errors import InputError


@click.command(cls=Command)
@click.argument("directory", type=click.Path(file_okay=False), metavar="DIRECTORY")
@click.option("--listen", default="127.0.0.1:8480", metavar="HOST:PORT", help="Where; port 0 takes a free one.")
@click.option("--token-file", type=click.Path(dir_okay=False), help="The secret that uploads need; none: no uploads.")
@click.option("--cert", type=click.Path(dir_okay=False), metavar="FILE", help="Certificate (PEM), for https.")
@click.option("--cert-key", type=click.Path(dir_okay=False), metavar="FILE", help="Key of the certificate.")
def serve(directory: str, listen: str, token_file: str | None, cert: str | None, cert_key: str | None) -> None:
    """Serve DIRECTORY as a binary cache, until it is interrupted.

    Any web server can do the same for who only reads.  Below /shacache and /shadir it speaks the older networkcache.
    """
    from slapos.build.cache.serving import Address, serve_cache
    from slapos.system.files import make_directory

    host, _, port = listen.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise InputError(f"{listen!r} is not HOST:PORT.", reference="usage", context={"field": "listen"})
    make_directory(os.path.abspath(directory))
    address = Address(host.strip("[]") or "127.0.0.1", int(port), cert or "", cert_key or "")
    serve_cache(
        os.path.abspath(directory), address, _token(token_file), lambda url: say(f"Serving {directory} at {url}")
    )


def _token(path: str | None) -> str:
    if path is None:
        return ""
    with open(path, encoding="utf-8") as stream:
        token = stream.read().strip()
    if len(token) < 16:
        raise InputError(
            f"The token in {path} is shorter than 16 characters: it would be guessed.",
            reference="weak-token",
            context={"path": path},
            hint="Make one with `openssl rand -hex 24`.",
        )
    return token
