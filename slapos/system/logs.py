"""What a daemon writes to its standard error: for people, for the journal, or as JSON.

Sources: ``systemd.exec(5)`` (``JOURNAL_STREAM``), ``sd-daemon(3)`` (``<N>`` at the begin of a line is its priority).
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import sys
from collections.abc import Mapping
from enum import StrEnum

from slapos.model.errors import InputError

VARIABLE = "HYPEROPENX_LOG_FORMAT"
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))


class LogStyle(StrEnum):
    """For people, for the journal, for programs."""

    TEXT = "text"
    JOURNAL = "journal"
    JSON = "json"


class JournalFormatter(logging.Formatter):
    """Lines with a priority and without a date: the journal knows when.  Each line of a text gets the priority."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{priority(record.levelno)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines() or [""])


class JsonFormatter(logging.Formatter):
    """One object a line: ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``thread``, ``message``, and ``error`` with
    the lines of a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        data = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "thread": record.threadName,
            "message": record.getMessage(),
        }
        if record.exc_info:
            data["error"] = self.formatException(record.exc_info)
        return json.dumps(data, ensure_ascii=False)


def priority(level: int) -> int:
    """Of ``syslog(3)``, for a level of ``logging``."""
    return next((number for least, number in _PRIORITIES if level >= least), 7)


def is_journal(handle: int, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the journal reads what is written to ``handle``."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        facts = os.fstat(handle)
    except OSError:
        return False
    return (device, inode) == (str(facts.st_dev), str(facts.st_ino))


def configure_logs(*, verbose: bool = False, environment: Mapping[str, str] = os.environ) -> None:
    """Everything from INFO on (DEBUG when ``verbose``) goes to standard error, in the style that :data:`VARIABLE` says.

    :class:`InputError` ``invalid-log-format`` when it says another one.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(make_formatter(chosen_style(environment)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.WARNING)


def chosen_style(environment: Mapping[str, str]) -> LogStyle:
    """What :data:`VARIABLE` says, else what fits standard error."""
    text = environment.get(VARIABLE, "")
    if not text:
        return LogStyle.JOURNAL if is_journal(sys.stderr.fileno(), environment) else LogStyle.TEXT
    try:
        return LogStyle(text)
    except ValueError:
        raise InputError(
            f"{VARIABLE}: expected {', '.join(LogStyle)}, not {text!r}.",
            reference="invalid-log-format",
            context={"field": VARIABLE, "value": text},
        ) from None


def make_formatter(style: LogStyle) -> logging.Formatter:
    """What turns a record into lines."""
    if style is LogStyle.JSON:
        return JsonFormatter()
    if style is LogStyle.JOURNAL:
        return JournalFormatter("%(name)s: %(message)s")
    return logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
