"""``hyperopenx:template`` (buildout substitution) and ``hyperopenx:template.jinja2``: files made from templates.

A template is text of the packager's; what it refers to is data.  Parameters reach a generated profile through
``dumps``, which the engine reads back as exactly the same value.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import jinja2

from slapos.build.profile.buildout import Buildout
from slapos.build.profile.expression import Reference
from slapos.build.profile.load import joined
from slapos.build.profile.section import Options
from slapos.build.recipe import Recipe
from slapos.build.template_imports import Folder, loader
from slapos.build.values import Value, as_text, dumps
from slapos.cookbook import six_names as six
from slapos.cookbook.beside import read_beside
from slapos.cookbook.pieces import TemplateText, of_the_field
from slapos.model.errors import InputError
from slapos.system.files import is_written, write_if_changed

_INLINE = "inline:"
_CODE_ERRORS = (ArithmeticError, AttributeError, ImportError, LookupError, RecursionError, TypeError, ValueError)
_TEMPLATE_ERRORS = (jinja2.TemplateError, *_CODE_ERRORS, InputError, OSError)


class _Template(Recipe):
    """Where the text comes from and where the result goes."""

    @property
    def section(self) -> Options:
        return cast("Options", self.options)

    @property
    def profile(self) -> Buildout:
        return cast("Buildout", self.buildout)

    @property
    def output(self) -> str:
        option = "rendered" if "rendered" in self.options and "output" not in self.options else "output"
        return os.path.normpath(os.path.join(self.directory, self.text(option)))

    def template(self) -> tuple[str, str]:
        """The text, and the name that errors show."""
        self.inlined: TemplateText | None = None
        if "inline" in self.options:
            return self._inline("inline"), f"[{self.name}] inline"
        option = "template" if "template" in self.options and "url" not in self.options else "url"
        if not self.section.is_data(option) and self.section.raw(option).startswith(_INLINE):
            return self._inline(option).removeprefix(_INLINE).lstrip("\r\n"), f"[{self.name}] {option}"
        url = self.text(option).strip()
        return self._read(option, joined(self.directory, url)), url

    def _inline(self, option: str) -> str:
        """Before substitution: the template's own language is the only one that reads it.

        In the field the language of profiles comes first; data still are read by none.
        """
        if self.section.is_data(option):
            return self.text(option)
        if not of_the_field(self.view):
            return self.section.raw(option)
        self.inlined = TemplateText(self, option=option)
        return self.inlined.text

    def _read(self, option: str, url: str) -> str:
        data = read_beside(self, url)
        for name in ("sha256", "md5sum"):
            expected = self.text(name, "").strip()
            got = hashlib.new(name.removesuffix("sum"), data, usedforsecurity=False).hexdigest()
            if expected and got != expected:
                raise self.error(
                    name,
                    f"{url} has the {name} {got}, expected was {expected}.",
                    reference="wrong-checksum",
                    hint="Was the template changed?  Then write its digest into the profile.",
                )
        try:
            return data.decode(self.text("encoding", "utf-8"))
        except (UnicodeDecodeError, LookupError) as error:
            raise self.error(option, f"{url} cannot be decoded: {error}.") from None

    def write(self, text: str) -> list[str]:
        """Replace the output when it differs."""
        output, data = self.output, self._encoded(text)
        os.makedirs(os.path.dirname(output), exist_ok=True)
        write_if_changed(output, data, self._mode(text))
        return [output]

    def is_written(self, text: str) -> bool:
        """Whether :meth:`write` would leave the output as it is."""
        return is_written(self.output, self._encoded(text), self._mode(text))

    def _encoded(self, text: str) -> bytes:
        try:
            return text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise self.error("output", f"would hold what UTF-8 cannot: {error}.", reference="template-failed") from None

    def _mode(self, text: str) -> int:
        umask = os.umask(0)
        os.umask(umask)
        return self.view.mode("mode", (0o777 if self._is_script(text) else 0o666) & ~umask)

    def _is_script(self, text: str) -> bool:
        """Whether it begins with ``#!``; in the field, only when that program is there and executable."""
        if not text.startswith("#!"):
            return False
        program = text[2:].split("\n", 1)[0].split()[:1]
        return not of_the_field(self.view) or any(os.access(path, os.X_OK) for path in program)


class Template(_Template):
    """``${section:option}`` of the text replaced once; ``$$`` gives ``$``."""

    def setup(self) -> None:
        self.rendered = self._render()

    def install(self) -> list[str]:
        return self.write(self.rendered)

    update = install

    def is_in_place(self) -> bool:
        return self.is_written(self.rendered)

    def _render(self) -> str:
        text, name = self.template()
        if "inline" in self.options and self.section.is_data("inline"):
            return text
        if self.inlined is not None:
            return self.inlined.finished(text)
        origin = self.section.origin("inline") or self.section.origin("url") or self.section.origin("recipe")
        pieces = []
        for part in self.section.compile(text, origin, f"template {name}"):
            if isinstance(part, Reference):
                pieces.append(as_text(self.section.resolve(part, origin, f"template {name}")))
            else:
                pieces.append(part.replace("$$", "$"))
        return "".join(pieces)


class Jinja2Template(_Template):
    """Jinja2 with undefined names as errors; ``context`` says what the template sees."""

    def setup(self) -> None:
        """The context is read now, so that the parts that it names come first."""
        self.context = self._context()
        self.folders = self._imports()

    def install(self) -> list[str]:
        once = self.text("once", "")
        if once and os.path.exists(os.path.join(self.directory, once)):
            return []
        paths = self.write(self._render())
        if once:
            write_if_changed(os.path.join(self.directory, once), b"")
        return [] if once else paths

    update = install

    def is_in_place(self) -> bool:
        return not self.text("once", "") and self.is_written(self._render())

    def _render(self) -> str:
        text, name = self.template()
        try:
            template = self._environment().from_string(text)
            template.filename = name
            rendered = template.render(self.context)
        except _TEMPLATE_ERRORS as error:
            raise self._failed(name, error) from error
        return self.inlined.finished(rendered) if self.inlined is not None else rendered

    def _environment(self) -> jinja2.Environment:
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined,
            extensions=self.words("extensions", ()),
            loader=loader(self.folders, self.text("import-delimiter", "/"), partial(read_beside, self)),
            keep_trailing_newline=not of_the_field(self.view),
        )
        environment.globals.update(_GLOBALS)
        return environment

    def _failed(self, name: str, error: Exception) -> Exception:
        file, line = _place_of(error)
        at = f"{file or name}, line {line}" if line else file or name
        why = str(error) or type(error).__name__
        if isinstance(error, jinja2.TemplateNotFound):
            why = f"import-list has no template {why!r}"
        return self.error(
            "output",
            f"the template {at} cannot be rendered: {why.rstrip('.')}.",
            reference="template-failed",
            hint="Names that are not in context are errors.",
        )

    def _context(self) -> dict[str, Any]:
        """Lines ``<type> <name> <expression>``; split before substitution, so that no value can add a line."""
        result: dict[str, Any] = {}
        for line in self._raw_lines("context"):
            kind, name, expression = self._three("context", line)
            reader = _CONTEXT.get(kind)
            if reader is None:
                raise self.error("context", f"{kind!r} is none of {', '.join(_CONTEXT)}.", reference="invalid-option")
            result[name] = reader(self, expression)
        return result

    def _imports(self) -> list[Folder]:
        folders = []
        for line in self._raw_lines("import-list"):
            kind, name, expression = self._three("import-list", line)
            if kind not in ("file", "folder", "rawfile", "rawfolder"):
                raise self.error("import-list", f"{kind!r} is no kind of import.", reference="invalid-option")
            raw = kind.startswith("raw")
            place = self.evaluated(expression) if raw else self.referred(expression)
            folders.append(Folder(name, joined(self.directory, as_text(place)), kind.endswith("folder")))
        return folders

    def _raw_lines(self, option: str) -> list[str]:
        if option not in self.options:
            return []
        text = self.text(option) if self.section.is_data(option) else self.section.raw(option)
        return [line for line in map(str.strip, text.splitlines()) if line]

    def _three(self, option: str, line: str) -> tuple[str, str, str]:
        words = line.split(None, 2)
        if len(words) < 2:
            raise self.error(option, f"has lines 'type name expression', not {line[:80]!r}.")
        return words[0], words[1], words[2] if len(words) > 2 else ""

    def evaluated(self, expression: str) -> Value:
        """The value of an expression with references."""
        return self.section.evaluate(expression, self.section.origin("context"), "context")

    def referred(self, expression: str) -> Value:
        """``section:option``; an empty section is this one."""
        section, colon, option = expression.strip().partition(":")
        if not colon:
            raise self.error("context", f"{expression!r} is no section:option.", reference="invalid-reference")
        return self.section.resolve(Reference(section, option), self.section.origin("context"), "context")

    def whole_section(self, name: str) -> dict[str, Value]:
        """All options of a section."""
        return dict(self.profile[name.strip()].copy())

    def literal(self, text: str) -> Any:
        """JSON."""
        try:
            return json.loads(text)
        except ValueError as error:
            raise self.error("context", f"{text[:80]!r} is no JSON: {error}.", reference="invalid-option") from None

    def module(self, name: str) -> Any:
        """A Python module."""
        try:
            return importlib.import_module(name.strip())
        except (*_CODE_ERRORS, SyntaxError) as error:
            raise self.error("context", f"the module {name.strip()!r} cannot be imported: {error}.") from None


_CONTEXT: Mapping[str, Callable[[Jinja2Template, str], Any]] = {
    "raw": lambda recipe, expression: recipe.evaluated(expression),
    "key": lambda recipe, expression: recipe.referred(expression),
    "section": lambda recipe, expression: recipe.whole_section(expression),
    "json": lambda recipe, expression: recipe.literal(as_text(recipe.evaluated(expression))),
    "jsonkey": lambda recipe, expression: recipe.literal(as_text(recipe.referred(expression))),
    "import": lambda recipe, expression: recipe.module(expression),
}


def _assert(condition: Any, message: str = "") -> str:
    """``assert(condition, message)`` in a template."""
    if not condition:
        raise jinja2.TemplateRuntimeError(message or "an assertion does not hold")
    return ""


_BUILTINS = (
    "abs all any bin bool bytes callable chr complex dict divmod enumerate filter float format frozenset hash hex int "
    "isinstance iter len list map max min next oct ord pow range repr reversed round set slice sorted str sum tuple "
    "type zip"
)
_GLOBALS: Mapping[str, Any] = {
    **{name: getattr(builtins, name) for name in _BUILTINS.split()},
    "dumps": dumps,
    "assert": _assert,
    "six": six,
}


def _place_of(error: BaseException) -> tuple[str, int | None]:
    """File and line in the traceback that jinja2 made for it; the file is empty for the template itself."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return error.filename or "", error.lineno
    trace, file, line = error.__traceback__, "", None
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_name in ("top-level template code", "template") or code.co_name.startswith("block '"):
            file, line = code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    return "" if file == "<template>" else file, line
