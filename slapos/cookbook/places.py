"""Where recipes may write, and the texts that they may write there."""

from __future__ import annotations

import os

from slapos.build.recipe import OptionsView, Recipe
from slapos.model.errors import InputError
from slapos.model.text import check_text, is_file_name

ARGUMENT_LIMIT = 128 * 1024 - 1  # bytes; Linux MAX_ARG_STRLEN without the closing NUL


def path_below(options: OptionsView, option: str, default: str) -> str:
    """The absolute path that an option names, below the directory of the profile; ``default`` is relative to it.

    Lexical: a parameter in a path must not lead out of the partition.
    """
    given = options.text(option, default)
    path = os.path.normpath(os.path.join(options.directory, given))
    inside = path.startswith(os.path.normpath(options.directory).rstrip("/") + "/")
    if not inside or ".." in given.split("/"):
        raise options.error(
            option,
            f"{given[:200]!r} is no plain path below {options.directory}.",
            reference="path-outside",
            hint="Give a path below ${buildout:directory}.",
        )
    check_option(options, option, path)
    return path


def file_below(options: OptionsView, option: str, default: str) -> str:
    """Like :func:`path_below`; the last component must be a name that the node accepts."""
    path = path_below(options, option, default)
    given = os.path.basename(options.text(option, default).rstrip("/"))
    if not is_file_name(given):
        raise options.error(
            option,
            f"{given[:100]!r} cannot be the name of a file here.",
            reference="invalid-name",
            hint="Names have letters, digits, '.', '_' and '-', and do not begin with '.' or '-'.",
        )
    return path


def check_name(options: OptionsView, option: str, value: str) -> str:
    """``value`` when it can name a service, promise or entry."""
    if not is_file_name(value):
        raise options.error(
            option,
            f"{value[:100]!r} cannot be a name.",
            reference="invalid-name",
            hint="Names have letters, digits, '.', '_' and '-', and do not begin with '.' or '-'.",
        )
    return value


def check_option(options: OptionsView, option: str, value: str) -> str:
    """``value`` when all its characters can travel; the error names the option (a NUL can be in no argument)."""
    try:
        return check_text(option, value)
    except InputError as error:
        raise options.error(option, error.message, reference=error.reference, hint=error.hint) from error


def check_argument(recipe: Recipe, option: str, value: str) -> str:
    """``value`` when the kernel accepts it as one argument or one variable of a program."""
    check_option(recipe.view, option, value)
    size = len(value.encode())
    if size > ARGUMENT_LIMIT:
        raise recipe.error(
            option,
            f"holds an argument of {size} bytes; a program takes at most {ARGUMENT_LIMIT} in one.",
            reference="too-large",
            hint="Write the value into a file and give the program the path.",
        )
    return value


def make_parents(path: str) -> None:
    """The directories above ``path`` exist, with the mode that the umask of the run gives."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
