"""Shell scripts that start one program."""

from __future__ import annotations

import shlex
from collections.abc import Iterable


def exec_script(arguments: Iterable[str], before: Iterable[str] = ()) -> str:
    """``exec`` with exactly these arguments, then those of the caller; ``before`` are lines of shell."""
    return "\n".join(["#!/bin/sh -e", *before, f'exec {shlex.join(arguments)} "$@"', ""])
