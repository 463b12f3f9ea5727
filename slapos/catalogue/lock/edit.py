"""Writes an option of a profile anew and leaves every other byte as it is."""

from __future__ import annotations

from collections.abc import Sequence

from slapos.build.profile.reader import parse
from slapos.model.errors import NotFound

_INDENT = "  "


def with_option(text: str, section: str, option: str, values: Sequence[str]) -> str:
    """``text`` with ``option = value``, or one indented line for each of several; a new option goes below ``url``.

    :class:`NotFound` ``missing-section`` for a section that the text does not write itself.
    """
    own = parse(text, "").get(section)
    if own is None:
        raise NotFound(f"There is no section [{section}].", reference="missing-section", context={"section": section})
    lines = text.split("\n")
    written = _written(option, values)
    if steps := own.get(option):
        begin = steps[-1].origin.line - 1
        end = _end(lines, begin)
        lines[begin:end] = [*written, *filter(_is_comment, lines[begin:end])]
        return "\n".join(lines)
    above = own.get("url") or [step for steps in own.values() for step in steps]
    below = _end(lines, above[-1].origin.line - 1)
    lines[below:below] = written
    return "\n".join(lines)


def _written(option: str, values: Sequence[str]) -> list[str]:
    if len(values) == 1:
        return [f"{option} = {values[0]}"]
    return [f"{option} =", *(f"{_INDENT}{value}" for value in values)]


def _end(lines: Sequence[str], begin: int) -> int:
    """The line after the last of an option's; blank lines at its end are not its own."""
    end = begin + 1
    for number in range(begin + 1, len(lines)):
        line = lines[number]
        if not line.strip() or _is_comment(line):
            continue
        if not line[0].isspace():
            break
        end = number + 1
    return end


def _is_comment(line: str) -> bool:
    return line.startswith(("#", ";"))
