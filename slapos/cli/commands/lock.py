"""``slapos lock``."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import click
from rich.text import Text

from slapos.cli.lazy import Command
from slapos.cli.output import emit


@click.command(cls=Command)
@click.argument("profile")
@click.argument("part", default="")
@click.option("--version", default="", metavar="VERSION", help="Go to this version of the part.")
@click.option("--accept", is_flag=True, help="Take the bytes that the source has now, although others are pinned.")
@click.option(
    "--package",
    "packages",
    multiple=True,
    metavar="NAME",
    help="A package to pin, of Debian, Python or npm; repeatable.",
)
@click.option("--check", is_flag=True, help="Change nothing; the exit status is 1 when something would change.")
def lock(profile: str, part: str, version: str, accept: bool, packages: tuple[str, ...], check: bool) -> int:
    """Refresh what a PROFILE pins: sources, versions, packages; PROFILE is a file or its directory.

    A source that has other bytes than those that are pinned is an error, unless the version changes with them. Debian
    packages are taken from the machine's signed archive, with all that they need; those of Python and npm, in the files
    beside the profile, from the registries of pip and npm.
    """
    from slapos.catalogue.lock.refresh import Wish, profile_at, refresh, sha256_of, write

    wish = Wish(part=part, version=version, accept=accept, packages=packages)
    locked = refresh(profile_at(profile), wish, bring=sha256_of, lock_packages=_lock_packages)
    if locked.changes and not check:
        write(locked)
    lines = [_line(change.part, change.option, change.old, change.new) for change in locked.changes]
    emit(
        {"profile": locked.path, "changes": [dataclasses.asdict(change) for change in locked.changes]},
        lambda: [Text(line) for line in lines] or f"{locked.path}: nothing changed.",
    )
    return 1 if check and locked.changes else 0


def _line(part: str, option: str, old: str, new: str) -> str:
    return f"[{part}] {option}: {' '.join(old.split()) or 'nothing'} → {' '.join(new.split()) or 'nothing'}"


def _lock_packages(names: Sequence[str]) -> Sequence[str]:
    from slapos.build.fetch.debian_packages import DebianPackages
    from slapos.cli.site.builds import download_cache_of_machine

    archive = DebianPackages(directory=os.path.join(download_cache_of_machine(), "apt-binary"))
    return [pinned.line for pinned in archive.lock(names)]
