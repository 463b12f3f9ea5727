"""Times as systemd writes them (``mon..fri 4:30``, ``*-*-1 0:00``) as the five fields of a crontab."""

from __future__ import annotations

import re

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FULL_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_ITEM = re.compile(r"(?:(?P<first>\d+)(?:\.\.(?P<last>\d+))?|(?P<all>\*))(?:/(?P<step>\d+))?")
_WEEKDAYS = re.compile(r"[a-zA-Z.,-]+")


def crontab(times: str) -> str:
    """The five fields; ``ValueError`` says what a crontab cannot express."""
    words = times.split()
    weekday = _weekday(words.pop(0)) if words and _WEEKDAYS.fullmatch(words[0]) else "*"
    date = words.pop(0) if words and "-" in words[0] else "*-*"
    clock = words.pop(0) if words else "0:0"
    if words or not times.strip():
        raise ValueError("it is days of the week, a date and a time")
    month, day = _date(date)
    if weekday != "*" != day:
        raise ValueError("a crontab knows either days of the week or of the month")
    hour, minute = _clock(clock)
    return " ".join((minute, hour, day, month, weekday))


def _weekday(text: str) -> str:
    """``mon..fri,sun`` as ``1-5,0``."""
    result = []
    for item in text.split(","):
        first, _, last = item.replace("..", "-").partition("-")
        result.append(f"{_day(first)}-{_day(last)}" if last else _day(first))
    return ",".join(result)


def _day(name: str) -> str:
    for names in (_DAYS, _FULL_DAYS):
        if name.lower() in names:
            return str(names.index(name.lower()))
    raise ValueError(f"{name!r} is no day of the week")


def _date(text: str) -> tuple[str, str]:
    parts = text.split("-")
    if len(parts) == 3 and parts.pop(0) != "*":
        raise ValueError("a crontab knows no years")
    if len(parts) != 2:
        raise ValueError(f"{text!r} is no date")
    return _field(parts[0], 1, 12), _field(parts[1], 1, 31)


def _clock(text: str) -> tuple[str, str]:
    parts = text.split(":")
    if len(parts) == 3 and int(parts.pop() or "0"):
        raise ValueError("a crontab knows no seconds")
    if len(parts) != 2:
        raise ValueError(f"{text!r} is no time")
    return _field(parts[0], 0, 23), _field(parts[1], 0, 59)


def _field(text: str, low: int, high: int) -> str:
    """Numbers, ranges (``1..5``) and steps (``0/15``), divided by commas."""
    return ",".join(_item(item, low, high) for item in text.split(","))


def _item(text: str, low: int, high: int) -> str:
    found = _ITEM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no number")
    numbers = [int(found[name]) for name in ("first", "last") if found[name]]
    if any(not low <= number <= high for number in numbers) or found["step"] == "0":
        raise ValueError(f"{text!r} is not between {low} and {high}")
    if found["all"]:
        written = "*"
    elif found["last"]:
        written = f"{numbers[0]}-{numbers[1]}"
    else:
        written = f"{numbers[0]}-{high}" if found["step"] else str(numbers[0])
    return f"{written}/{found['step']}" if found["step"] else written
