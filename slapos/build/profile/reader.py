"""Reads the text of one profile: sections, options, operators, and the line of each.

The language is buildout's (its ``configparser`` is the reference, a test compares the two); what that parser cannot
say is where an option was written, and every error of ours names it.
"""

from __future__ import annotations

import io
import re
import textwrap
from dataclasses import dataclass, replace
from typing import Literal

import zc.buildout.buildout
import zc.buildout.configparser

from slapos.build.options import Origin, profile_error
from slapos.build.values import MARKER

Operator = Literal["=", "+", "-"]

_HEADER = re.compile(r"\[\s*(?P<name>[^\s#\[\]:;{}]+)\s*(?P<expression>:[^#;]*)?\s*\]\s*(?:[#;].*)?$")
_OPTION = re.compile(r"(?P<name>[^\s{}\[\]=:]+)\s*(?P<operator>[-+]?)=(?P<value>.*)$")
_BLANK_START = re.compile(r"^(?:\s*\n)+")


@dataclass(frozen=True)
class Step:
    """One line of the history of an option: ``=`` sets it, ``+`` adds lines, ``-`` takes lines away."""

    operator: Operator
    text: str
    origin: Origin


Section = dict[str, list[Step]]
Sections = dict[str, Section]


class _Parser:
    """State of reading one file, a line at a time."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.sections: Sections = {}
        self.section: Section | None = None
        self.skipping = False
        self.step: Step | None = None
        self.steps: list[Step] = []
        self.block = False

    def feed(self, number: int, line: str) -> None:
        if line[:1] in ("#", ";"):
            return
        if line[:1].isspace() and self.section is not None and self.step is not None:
            self._continue(line)
        elif header := _HEADER.match(line):
            self._open(number, line, header)
        elif self.skipping:
            return
        elif self.section is None:
            if line.strip():
                raise self._wrong(number, line, "comes before the first [section].")
        else:
            self._begin(number, line)

    def _begin(self, number: int, line: str) -> None:
        """The first line of an option."""
        if line.startswith("=>"):
            self._option(number, "<part-dependencies>", "", line[2:])
        elif option := _OPTION.match(line):
            name, operator = option["name"], option["operator"]
            if not operator and name[-1] in "+-" and len(name) > 1:
                name, operator = name[:-1], name[-1]
            self._option(number, name, operator, option["value"])
        elif line.strip():
            raise self._wrong(number, line, "is neither an option, nor a section, nor a continued line (indent it).")

    def _open(self, number: int, line: str, header: re.Match[str]) -> None:
        self._close()
        self.skipping = bool(header["expression"]) and not self._holds(number, line)
        self.section = None if self.skipping else self.sections.setdefault(header["name"], {})

    def _holds(self, number: int, line: str) -> bool:
        """Whether the condition of ``[name:condition]`` holds; buildout's own evaluation."""
        try:
            parsed = zc.buildout.configparser.parse(
                io.StringIO(f"[_]\n{line}\nx = 1\n"), self.file, zc.buildout.buildout._default_globals
            )
        except (SyntaxError, NameError, TypeError, ValueError, AttributeError) as error:
            raise self._wrong(number, line, f"has a condition that cannot be evaluated: {error}.") from error
        return any("x" in section for section in parsed.values())

    def _option(self, number: int, name: str, operator: str, value: str) -> None:
        self._close()
        assert self.section is not None
        text = value.strip()
        kind: Operator = "+" if operator == "+" else "-" if operator == "-" else "="
        self.step = Step(kind, text, Origin(self.file, number))
        self.steps = self.section.setdefault(name, [])
        self.block = not text

    def _continue(self, line: str) -> None:
        assert self.step is not None
        text = line.rstrip() if self.block else line.strip()
        if text or self.block:
            self.step = replace(self.step, text=f"{self.step.text}\n{text}")

    def _close(self) -> None:
        """Put the option that was being read among the steps of its section."""
        step, self.step = self.step, None
        if step is None:
            return
        text = step.text
        if text[:1].isspace():
            text = _BLANK_START.sub("", textwrap.dedent(text.rstrip()))
        self._check_marker(text, step.origin)
        step = replace(step, text=text)
        if step.operator == "=":
            self.steps.clear()
        self.steps.append(step)

    def _check_marker(self, text: str, origin: Origin) -> None:
        if text.find(MARKER, 1) >= 0 and not text.startswith(MARKER):
            raise profile_error(
                "a value written by dumps stands for a whole option, not for a part of one.",
                origin=origin,
                reference="misplaced-dumps",
                hint="Give it an option of its own and refer to that, or use dumps on the whole list.",
            )

    def finish(self) -> Sections:
        """All sections; the steps of each option in the order in which buildout applies them: set, add, take away."""
        self._close()
        for section in self.sections.values():
            for steps in section.values():
                steps.sort(key=lambda step: "=+-".index(step.operator))
        return self.sections

    def _wrong(self, number: int, line: str, sentence: str) -> Exception:
        return profile_error(f"{line.strip()[:80]!r} {sentence}", origin=Origin(self.file, number))


def parse(text: str, file: str) -> Sections:
    """Sections in order of appearance; :class:`ProfileError` with file and line for what is no profile."""
    parser = _Parser(file)
    for number, line in enumerate(text.split("\n"), start=1):
        parser.feed(number, line.removesuffix("\r") + "\n")
    return parser.finish()


def merge(below: Sections, above: Sections) -> Sections:
    """``above`` on top of ``below``, both unchanged; an ``=`` forgets what lay below."""
    result = {name: {option: list(steps) for option, steps in section.items()} for name, section in below.items()}
    for name, section in above.items():
        merge_section(result.setdefault(name, {}), section)
    return result


def merge_section(target: Section, above: Section) -> None:
    """Put the steps of ``above`` after those of ``target``, in place."""
    for option, steps in above.items():
        before = [] if any(step.operator == "=" for step in steps) else target.get(option, [])
        target[option] = [*before, *steps]


def final_text(steps: list[Step]) -> str:
    """The text that a history leads to."""
    text: str | None = None
    for step in steps:
        if step.operator == "=" or (step.operator == "+" and text is None):
            text = step.text
        elif step.operator == "+":
            text = f"{text}\n{step.text}"
        else:
            gone = step.text.split("\n")
            text = "\n".join(line for line in (text or "").split("\n") if line not in gone)
    return text or ""
