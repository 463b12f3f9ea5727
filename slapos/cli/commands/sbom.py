"""``slapos sbom``."""

from __future__ import annotations

import json
from typing import Any

import click

from slapos.cli.lazy import Command
from slapos.cli.output import emit


@click.command(cls=Command)
@click.argument("profile", metavar="RELEASE")
@click.option(
    "--output", type=click.Path(dir_okay=False), metavar="FILE", help="Write the document there instead of printing it."
)
@click.option("--store", "stores", multiple=True, metavar="DIRECTORY", help="A store that has its parts; repeatable.")
@click.option("--directory", default="", metavar="DIRECTORY", help="Where the release was built.")
def sbom(profile: str, output: str | None, **where: Any) -> None:
    """Write the bill of materials of a built RELEASE as CycloneDX 1.6 (JSON), checked with the schema of the standard.

    Every part with its version, source, sha256, licence, patches, and the parts that it needs.  It tells what was
    built: the profiles must still be those of the build.
    """
    from slapos.catalogue.sbom.document import sbom_text
    from slapos.catalogue.sbom.gather import gather
    from slapos.cli.site.builds import chosen_release
    from slapos.system.files import atomic_write

    text = sbom_text(gather(chosen_release(profile, where)))
    if output is None:
        click.echo(text, nl=False)
        return
    atomic_write(output, text, 0o644)
    parts = len(json.loads(text)["components"])
    emit({"sbom": output, "components": parts}, lambda: f"{output}: {parts} parts")
