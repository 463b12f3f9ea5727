"""The scheduler of a partition: ``python -m slapos.cookbook.cron_daemon --entries DIRECTORY --state FILE``.

Why not an existing crond: the usual ones want root or a setuid program, and hand a line to a shell after a reading of
their own (``%`` is a line break there).  The reading of schedules is cronsim's; this is only the loop around it.

An entry is a file: JSON ``{"schedule", "command"}``, or lines of a crontab (five fields and a command).  Times are
UTC.  A time missed while nothing ran is made up for once.  A command never runs twice at the same time.  The state
file says when each entry ran last; entries that have gone leave it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from slapos.model.errors import HyperopenxError
from slapos.model.text import is_file_name
from slapos.system.files import read_json, write_json
from slapos.system.processes import Launch, run
from slapos.system.proctable import descendants, end_processes, process_table

LONGEST_SLEEP = 20.0  # seconds until a new entry is seen
_OUTPUT_LIMIT = 64 * 1024
_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_KEPT_VARIABLES = ("HOME", "USER", "LOGNAME", "PATH", "LC_ALL", "TMPDIR")

_log = logging.getLogger("cron")


@dataclass(frozen=True)
class Job:
    """``key`` changes with the schedule and the command: a changed entry starts anew."""

    name: str
    schedule: str
    command: str

    @property
    def key(self) -> str:
        """A short digest, the name of the job in the state file."""
        return hashlib.sha256(json.dumps([self.name, self.schedule, self.command]).encode()).hexdigest()[:32]


def read_jobs(directory: str) -> list[Job]:
    """The jobs of all entries; one that cannot be read is named in the log and left out."""
    jobs = []
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
        if is_file_name(name):
            try:
                with open(os.path.join(directory, name), encoding="utf-8") as stream:
                    jobs += parse_entry(name, stream.read())
            except (OSError, ValueError) as error:
                _log.error("%s: left out: %s", name, error)
    return jobs


def parse_entry(name: str, text: str) -> list[Job]:
    """The jobs of one entry; :class:`ValueError` says what is wrong."""
    if text.lstrip().startswith("{"):
        data = json.loads(text)
        if not isinstance(data.get("schedule"), str) or not isinstance(data.get("command"), str):
            raise ValueError("schedule and command are texts")
        jobs = [Job(name, data["schedule"], data["command"])]
    else:
        lines = [line.strip() for line in text.splitlines()]
        jobs = [_crontab_line(name, line) for line in lines if line and not line.startswith("#")]
    for job in jobs:
        due_time(job, 0.0)
    return jobs


def due_time(job: Job, after: float) -> float:
    """The first time of the job later than ``after`` (UTC epoch seconds)."""
    try:
        return next(CronSim(job.schedule, datetime.fromtimestamp(after, UTC))).timestamp()
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"{job.schedule!r} is no schedule: {error}") from error


def _crontab_line(name: str, line: str) -> Job:
    fields = line.split(None, 1 if line.startswith("@") else 5)
    if len(fields) != (2 if line.startswith("@") else 6):
        raise ValueError(f"{line!r} is no line of a crontab")
    schedule = " ".join(fields[:-1])
    return Job(name, _ALIASES.get(schedule, schedule), fields[-1])


class Scheduler:
    """Runs what is due.  ``directory`` is the working directory of the commands."""

    def __init__(self, *, entries: str, state: str, directory: str) -> None:
        self.entries = entries
        self.state = state
        self.directory = directory
        self.stopped = threading.Event()
        self.running: set[str] = set()
        self._lock = threading.Lock()
        known = read_json(state, {})
        self.last: dict[str, float] = {
            str(key): float(value)
            for key, value in (known.items() if isinstance(known, dict) else ())
            if isinstance(value, int | float)
        }

    def run_forever(self) -> None:
        """Until :attr:`stopped` is set; then what still runs is ended."""
        while not self.stopped.is_set():
            now = time.time()
            soonest = self.run_due(now)
            self.stopped.wait(max(0.05, min(LONGEST_SLEEP, soonest - now)))
        own = descendants(process_table(), os.getpid())
        end_processes([process for process in own if process.pid != os.getpid()], 5.0)

    def run_due(self, now: float) -> float:
        """Start the jobs whose time has come; the time of the next one."""
        jobs = read_jobs(self.entries)
        soonest = now + LONGEST_SLEEP
        last = {}
        for job in jobs:
            known = self.last.get(job.key, now)
            known = min(known, now)  # the clock was set back
            due = due_time(job, known)
            if due <= now and self._start(job):
                known, due = now, due_time(job, now)
            last[job.key] = known
            soonest = min(soonest, due if due > now else now + 1.0)
        if last != self.last:
            self.last = last
            write_json(self.state, last, 0o600)
        return soonest

    def _start(self, job: Job) -> bool:
        with self._lock:
            if job.key in self.running:
                _log.warning("%s: not started, it still runs.", job.name)
                return True
            self.running.add(job.key)
        threading.Thread(target=self._run, args=(job,), daemon=True).start()
        return True

    def _run(self, job: Job) -> None:
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        environment.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        launch = Launch(directory=self.directory, environment=environment, umask=0o027)
        try:
            done = run(["/bin/sh", "-c", job.command], launch=launch, output_limit=_OUTPUT_LIMIT)
            _log.log(
                logging.INFO if done.code == 0 else logging.ERROR,
                "%s: exit %s after %.1f s%s",
                job.name,
                done.code,
                done.seconds,
                f"\n{done.text.rstrip()}" if done.text.strip() else "",
            )
        except HyperopenxError as error:
            _log.error("%s: %s", job.name, error.message)
        finally:
            with self._lock:
                self.running.discard(job.key)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="cron_daemon", description="Runs the entries of a directory at their times.")
    parser.add_argument("--entries", required=True, help="directory with one file per entry")
    parser.add_argument("--state", required=True, help="file that remembers the last runs")
    given = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.Formatter.converter = time.gmtime
    scheduler = Scheduler(entries=given.entries, state=given.state, directory=os.getcwd())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: scheduler.stopped.set())
    scheduler.run_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
