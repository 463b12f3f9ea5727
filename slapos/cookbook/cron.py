"""``hyperopenx:cron`` and ``cron.d``: commands of an instance at certain times, without root."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from datetime import UTC, datetime
from typing import ClassVar

from cronsim import CronSim, CronSimError

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.calendar import crontab
from slapos.cookbook.pieces import shell_text
from slapos.cookbook.places import check_argument, check_name, file_below, make_parents, path_below
from slapos.cookbook.script import exec_script
from slapos.system.files import write_if_changed

_DAEMON = "slapos.cookbook.cron_daemon"


class Cron(Recipe):
    """A service that runs the entries of a directory; times are UTC."""

    OPTIONS: ClassVar[dict[str, str]] = {
        "binary": "etc/service/crond",
        "cron-entries": "etc/cron.d",
        "state-file": "var/cron.json",
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """The paths, absolute."""
        return Description(
            outputs={
                "binary": file_below(options, "binary", "etc/service/crond"),
                "cron-entries": path_below(options, "cron-entries", "etc/cron.d"),
                "state-file": file_below(options, "state-file", "var/cron.json"),
            }
        )

    def install(self) -> list[str]:
        binary, entries, state = (self.text(option) for option in ("binary", "cron-entries", "state-file"))
        os.makedirs(entries, exist_ok=True)
        make_parents(binary)
        make_parents(state)
        # -I: neither the partition's directory nor its variables decide what is imported.
        arguments = [sys.executable, "-I", "-m", _DAEMON, "--entries", entries, "--state", state]
        write_if_changed(binary, exec_script(check_argument(self, "binary", word) for word in arguments), 0o700)
        return [binary]

    def update(self) -> list[str]:
        """The interpreter may have moved."""
        return self.install()


class Entry(Recipe):
    """One command with its times."""

    OPTIONS: ClassVar[dict[str, str]] = {
        "cron-entries": "etc/cron.d",
        "name": "the part's name",
        "command": "mandatory",
        "frequency": "",
        "time": "",
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """``path``: the entry; ``schedule``: its five fields."""
        title = check_name(options, "name", options.text("name", name))
        path = os.path.join(path_below(options, "cron-entries", "etc/cron.d"), title)
        return Description(outputs={"path": path, "schedule": _schedule(options, path)})

    def install(self) -> list[str]:
        path = self.text("path")
        make_parents(path)
        command = check_argument(self, "command", shell_text(self, "command"))
        if not command.strip():
            raise self.error("command", "is empty.", reference="missing-option")
        entry = {"schedule": self.text("schedule"), "command": command}
        write_if_changed(path, json.dumps(entry, indent=1, sort_keys=True) + "\n", 0o600)
        return [path]


def _schedule(options: OptionsView, path: str) -> str:
    frequency, time = options.text("frequency", "").strip(), options.text("time", "").strip()
    if bool(frequency) == bool(time):
        raise options.error("frequency", "either frequency or time says when.", reference="invalid-option")
    schedule = frequency or _spread(options, time, path)
    try:
        next(CronSim(schedule, datetime(2000, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        raise options.error(
            "frequency",
            f"{schedule[:60]!r} is no schedule: {error}.",
            reference="invalid-schedule",
            hint="Write the five fields of a crontab, for example 30 4 * * *.",
        ) from error
    return schedule


def _spread(options: OptionsView, time: str, path: str) -> str:
    """Minute and hour from a digest of the place: a thousand instances do not all rotate at midnight."""
    number = int.from_bytes(hashlib.sha256(path.encode()).digest()[:4])
    minute, hour, day = number % 60, number // 60 % 24, number // 1440
    known = {
        "minutely": "* * * * *",
        "hourly": f"{minute} * * * *",
        "daily": f"{minute} {hour} * * *",
        "weekly": f"{minute} {hour} * * {day % 7}",
        "monthly": f"{minute} {hour} {day % 28 + 1} * *",
        "yearly": f"{minute} {hour} {day % 28 + 1} {day % 12 + 1} *",
    }
    if time in known:
        return known[time]
    try:
        return crontab(time)
    except ValueError as error:
        raise options.error(
            "time",
            f"{time[:60]!r} is no time: {error}.",
            reference="invalid-schedule",
            hint=f"Write one of {', '.join(known)}, or days, date and time as in mon..fri 4:30.",
        ) from None
