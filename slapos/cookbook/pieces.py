"""Options that are more than a list of items, divided before values are put in: ``NAME=value`` lines and shell text.

A reference is always a part of one name, value or shell word, whatever its value contains.  Lists of lines, names and
words are the engine's own (:class:`slapos.build.recipe.Recipe`).

Profiles of the field build an option from pieces (``command-line = ${:program} ${:arguments}``).  There a reference to
what a packager wrote is that text; a reference to data (a parameter, an output of a recipe) stays one piece.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any, cast

from slapos.build.profile.expression import Reference
from slapos.build.profile.section import Options
from slapos.build.profile.splitting import split_lines
from slapos.build.recipe import Recipe
from slapos.build.values import as_text

# Two non-characters of Unicode, which no text of ours may contain (slapos.model.text), around the number of a value.
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_ESCAPED = "\\ufdd0"
_MARK = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")

_HARMLESS = re.compile(r"[A-Za-z0-9_./:@%+=,-]*")


def pairs(recipe: Recipe, option: str) -> list[tuple[str, str]]:
    """Lines ``NAME=value``: what stands left and right of the first ``=`` as written, blanks around it dropped."""
    text, values = _marked(recipe, option)
    halves = [line.partition("=")[::2] for line in split_lines(text)]
    return [(_filled(name.strip(), values), _filled(value.strip(), values)) for name, value in halves]


def shell_text(recipe: Recipe, option: str) -> str:
    """The option as a shell command: its own text is shell, each value in it is one literal piece of a word.

    A value that the shell could read otherwise is quoted; within quotes of the packager's it is refused.
    """
    text, values = _marked(recipe, option)
    if _MARK.fullmatch(text) and isinstance(values[0], list):
        return shlex.join(as_text(item) for item in values[0])
    result, position = "", 0
    for found in _MARK.finditer(text):
        result += text[position : found.start()]
        position = found.end()
        value = as_text(values[int(found.group(1))])
        if _HARMLESS.fullmatch(value):
            result += value
        elif _in_quotes(_MARK.sub("", text[: found.start()])):
            raise recipe.error(
                option,
                f"the value {value[:60]!r} cannot stand within quotes of a command.",
                reference="unsafe-value",
                hint="Leave the quotes away: a value is quoted as a whole.",
            )
        else:
            result += shlex.quote(value)
    return result + text[position:]


def of_the_field(options: Mapping[str, Any]) -> bool:
    """Whether the section names its recipe as the field does: then old names, defaults and outputs of it hold."""
    return not as_text(options["recipe"]).strip().startswith("hyperopenx:")


def words(recipe: Recipe, option: str) -> list[str]:
    """The words of a command as a shell splits them; empty when the option is missing."""
    if not of_the_field(recipe.view):
        return recipe.words(option, ())
    text, values = _marked(recipe, option)
    try:
        found = shlex.split(text)
    except ValueError as error:
        raise recipe.error(option, f"its quotation is open: {error}.", reference="invalid-option") from None
    result = []
    for word in found:
        mark = _MARK.fullmatch(word)
        value = values[int(mark.group(1))] if mark else None
        result += [as_text(item) for item in value] if isinstance(value, list) else [_filled(word, values)]
    return result


def code_text(recipe: Recipe, option: str, *, language: str) -> str:
    """The option as a program text of the packager's: data within it must be harmless in any language.

    ``language`` names it in the error; the program gets other values from the options themselves.
    """
    text, values = _marked(recipe, option)
    for value in values:
        if not _HARMLESS.fullmatch(as_text(value)):
            raise recipe.error(
                option,
                f"the value {as_text(value)[:60]!r} cannot stand within {language}.",
                reference="unsafe-value",
                hint="Give it an option of its own, and read options['<name>'] in the text.",
            )
    return _filled(text, values)


class TemplateText:
    """An option as the text of a template: data in it are put in after it was rendered, never read as a template.

    Data that no language of templates could read otherwise are in it from the beginning.
    """

    def __init__(self, recipe: Recipe, *, option: str) -> None:
        marked, values = _marked(recipe, option)
        self.recipe = recipe
        self.option = option
        self.texts = [as_text(value) for value in values]
        self.text = _MARK.sub(self._early, marked)

    def _early(self, found: re.Match[str]) -> str:
        text = self.texts[int(found[1])]
        return text if _HARMLESS.fullmatch(text) else found[0]

    def finished(self, rendered: str) -> str:
        """What was rendered, with the data; ``ProfileError`` ``unsafe-value`` when the template changed their place."""
        if _ESCAPED in rendered:
            raise self.recipe.error(
                self.option,
                "a value in it was written by dumps, which cannot be.",
                reference="unsafe-value",
                hint="Give it to the template through context.",
            )
        return _MARK.sub(lambda found: self.texts[int(found[1])], rendered)


def _in_quotes(text: str) -> bool:
    """Whether the shell is within quotes, or after a backslash, at the end of ``text``."""
    quote = ""
    characters = iter(text)
    for character in characters:
        if character == "\\" and quote != "'":
            if next(characters, None) is None:
                return True
        elif character in "'\"" and quote in ("", character):
            quote = "" if quote else character
    return bool(quote)


def _filled(piece: str, values: list[Any]) -> str:
    return _MARK.sub(lambda found: as_text(values[int(found.group(1))]), piece)


def _marked(recipe: Recipe, option: str) -> tuple[str, list[Any]]:
    """The option's own text with a mark for each reference, and the values that belong to the marks."""
    options = cast("Options", recipe.options)
    if of_the_field(recipe.view):
        spliced: list[Any] = []
        return _spliced(options, option, spliced), spliced
    while True:
        text = _written(options, option)
        if text is None:
            value = options.get(option)
            return ("", []) if value is None else (f"{_OPEN}0{_CLOSE}", [value])
        parts = options.compile(text, options.origin(option), option)
        if len(parts) != 1 or not isinstance(parts[0], Reference):
            break
        target = cast("Options", recipe.buildout[parts[0].section]) if parts[0].section else options
        if _written(target, parts[0].option) is None:
            break
        options, option = target, parts[0].option  # ``command-line = ${base:command-line}``
    marked = ""
    values: list[Any] = []
    for part in parts:
        if isinstance(part, Reference):
            marked += f"{_OPEN}{len(values)}{_CLOSE}"
            values.append(options.resolve(part, options.origin(option), option))
        else:
            marked += part.replace(_OPEN, "").replace(_CLOSE, "")
    return marked, values


def _spliced(options: Options, option: str, values: list[Any]) -> str:
    """What packagers wrote for an option and for those that it refers to; data become marks, added to ``values``."""
    text = _written(options, option)
    if text is None:
        value = options.get(option)
        return "" if value is None else _mark(values, value)
    result = ""
    for part in options.compile(text, options.origin(option), option):
        if isinstance(part, str):
            result += part.replace(_OPEN, "").replace(_CLOSE, "")
            continue
        target = options.buildout[part.section] if part.section else options
        if part.option in target and _written(target, part.option) is not None:
            result += _spliced(target, part.option, values)
        else:
            result += _mark(values, options.resolve(part, options.origin(option), option))
    return result


def _mark(values: list[Any], value: Any) -> str:
    values.append(value)
    return f"{_OPEN}{len(values) - 1}{_CLOSE}"


def _written(options: Options, option: str) -> str | None:
    """What a packager wrote for an option; None when its value is data: set by a recipe, or written by ``dumps``."""
    return None if options.is_data(option) else options.raw(option)
