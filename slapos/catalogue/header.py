"""What a profile says about the software that it builds, in the comment at its top.

::

    # zlib: deflate compression, used by nginx for gzip.
    # Source:  https://zlib.net (release archive "fossils"; the same bytes on GitHub)
    # Licence: Zlib

The licence is one of SPDX's identifiers or expressions, or several with a comma between them; what stands in brackets
is for people.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SUMMARY = re.compile(r"# (?P<name>\S+): +(?P<what>.*\S)\s*")
_FACT = re.compile(r"# (?P<word>[A-Z][a-z]+): +(?P<value>.*\S)\s*")
_MORE = re.compile(r"# {2,}(?P<value>\S.*?)\s*")
_URL = re.compile(r"https?://[^\s;,()]+")
_BRACKETS = re.compile(r"\s*\([^()]*\)")
_EXCEPTION = re.compile(r" with (?=\S+$)", re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """``name`` and ``what`` of the first line; ``source`` is where upstream lives (a URL), ``licence`` as written.

    Empty where the comment says nothing.
    """

    name: str = ""
    what: str = ""
    source: str = ""
    licence: str = ""

    @property
    def licences(self) -> tuple[str, ...]:
        """Each licence without remarks: ``GPL-3.0-or-later WITH Bison-exception-2.2``."""
        plain = _BRACKETS.sub("", self.licence)
        return tuple(_EXCEPTION.sub(" WITH ", words) for text in plain.split(",") if (words := " ".join(text.split())))


def read_header(text: str) -> Header:
    """The header of a profile; an empty one when it begins with something else."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line)
    summary = _SUMMARY.fullmatch(lines[0]) if lines else None
    facts = _facts(lines[1:])
    source = _URL.search(facts.get("Source", ""))
    return Header(
        summary["name"] if summary else "",
        summary["what"] if summary else "",
        source[0] if source else "",
        facts.get("Licence", ""),
    )


def _facts(lines: list[str]) -> dict[str, str]:
    """``Word: value`` lines, continued by lines that are indented."""
    facts: dict[str, str] = {}
    word = ""
    for line in lines:
        if found := _FACT.fullmatch(line):
            word = found["word"]
            facts[word] = found["value"]
        elif word and (more := _MORE.fullmatch(line)):
            facts[word] += f" {more['value']}"
        else:
            word = ""
    return facts
