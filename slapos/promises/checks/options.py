"""Options of checks: texts from a profile, read with a clear message."""

from __future__ import annotations

from slapos.promises.generic import GenericPromise

_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off", ""})


class OptionError(Exception):
    """An option of a check is missing or wrong."""


def text(promise: GenericPromise, name: str, default: str | None = None) -> str:
    """The option; :class:`OptionError` when it is missing and has no default."""
    value = promise.getConfig(name)
    if value is None or value == "":
        if default is None:
            raise OptionError(f"the option {name} is missing")
        return default
    return str(value).strip()


def number(promise: GenericPromise, name: str, default: float | None = None) -> float:
    """A number, with the same rule."""
    value = text(promise, name, None if default is None else str(default))
    try:
        return float(value)
    except ValueError:
        raise OptionError(f"the option {name} must be a number, not {value!r}") from None


def switch(promise: GenericPromise, name: str, default: bool) -> bool:
    """``1``, ``true``, ``yes``, ``on`` or their opposites."""
    value = text(promise, name, str(default)).lower()
    if value not in _YES | _NO:
        raise OptionError(f"the option {name} must be true or false, not {value!r}")
    return value in _YES
