"""Units of systemd put in place and taken away again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass

from slapos.cli.site.units import Unit
from slapos.model.errors import Conflict, InputError
from slapos.system.files import make_directory, write_if_changed
from slapos.system.processes import check_run
from slapos.system.service_manager import BOOTED, is_booted

_DIRECTORY = "etc/systemd/system"
_SECONDS = 300.0


@dataclass(frozen=True)
class Place:
    """Where units go: this machine, or the image of one below ``root``, on which nothing is started."""

    root: str = "/"

    @property
    def image(self) -> bool:
        """Whether it is not the machine that runs."""
        return os.path.realpath(self.root) != "/"

    def path(self, name: str) -> str:
        """Of a unit."""
        return os.path.join(self.root, _DIRECTORY, name)

    def check(self) -> None:
        """:class:`InputError` ``needs-root``, or :class:`Conflict` ``no-systemd``, when nothing can be installed."""
        if os.geteuid() != 0:
            raise InputError(
                "Units of the machine are installed by root.",
                reference="needs-root",
                context={"user id": os.geteuid()},
                hint="Run it as root, or look at the units with --print.",
            )
        if not self.image and not is_booted():
            raise Conflict(
                f"This machine is not run by systemd: there is no {BOOTED}.",
                reference="no-systemd",
                context={"looked for": BOOTED},
                hint="Start it with what runs this machine (--print shows the commands), or give --root for an image.",
            )

    def systemctl(self, *words: str) -> None:
        """:class:`MachineError` ``command-failed`` with what it said."""
        root = (f"--root={self.root}",) if self.image else ()
        check_run(("systemctl", *root, *words), timeout=_SECONDS)


def install(units: Iterable[Unit], place: Place) -> list[str]:
    """Written, enabled and started (on an image: written and enabled); the paths.  Done again, it changes nothing."""
    place.check()
    found = list(units)
    make_directory(os.path.dirname(place.path("")), 0o755)
    for unit in found:
        write_if_changed(place.path(unit.name), unit.text)
    names = [unit.name for unit in found]
    if place.image:
        place.systemctl("enable", *names)
    else:
        place.systemctl("daemon-reload")
        place.systemctl("enable", "--now", *names)
    return [place.path(name) for name in names]


def uninstall(stopped: str, left: Iterable[str], place: Place) -> list[str]:
    """The units are gone: ``stopped`` is stopped, what runs in those ``left`` goes on; the paths that were there."""
    place.check()
    names = [name for name in (stopped, *left) if os.path.exists(place.path(name))]
    if not place.image and stopped in names:
        place.systemctl("stop", stopped)
    if names:
        place.systemctl("disable", *names)
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place.path(name))
    if names and not place.image:
        place.systemctl("daemon-reload")
    return [place.path(name) for name in names]
