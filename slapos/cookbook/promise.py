"""``hyperopenx:promise`` and ``hyperopenx:promise.plugin``: checks that the node runs (spec 06)."""

from __future__ import annotations

import importlib.util
import os
import re
from typing import Any, ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.eggs import egg_paths
from slapos.cookbook.places import check_argument, check_name, file_below, make_parents
from slapos.cookbook.script import exec_script
from slapos.system.files import write_if_changed

_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_CHECKS = "slapos.promises.checks"
_TOOLBOX = "slapos.promise.plugin."
# This check of slapos.toolbox reads a database that only the node of slapos.core fills.
_ALWAYS_OURS = frozenset({"free_disk_space"})
# What the launcher itself puts into the configuration of a promise (spec 06 §2).
_RESERVED = frozenset(
    {
        "path",
        "name",
        "log-folder",
        "partition-folder",
        "debug",
        "promise-timeout",
        "master-url",
        "partition-cert",
        "partition-key",
        "partition-id",
        "computer-id",
        "queue",
        "slapgrid-version",
    }
)


class Plugin(Recipe):
    """Writes a promise plugin: a class of a module or of a file, with ``config-<key>`` as its configuration."""

    OPTIONS: ClassVar[dict[str, str]] = {
        "output": "mandatory",
        "module": "",
        "file": "",
        "class": "RunPromise",
        "eggs": "",
        "mode": "0644",
        "config-<key>": "",
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """``output``: the absolute path of the plugin."""
        path = file_below(options, "output", "")
        check_plugin_name(options, "output", os.path.basename(path))
        _check_source(options)
        return Description(outputs={"output": path})

    def install(self) -> list[str]:
        path = self.text("output")
        make_parents(path)
        try:
            mode = int(self.text("mode", "0644"), 8)
        except ValueError:
            raise self.error("mode", "is an octal number such as 0644.", reference="invalid-option") from None
        text = plugin_text(self, self.text("module", ""), self.text("class", "RunPromise"))
        write_if_changed(path, text, mode)
        return [path]

    def update(self) -> list[str]:
        """The eggs may have moved."""
        return self.install()


class Promise(Recipe):
    """An executable promise from ``command-line``, or a plugin from a built-in ``check`` or a ``module``."""

    OPTIONS: ClassVar[dict[str, str]] = {
        "name": "the part's name",
        "command-line": "",
        "check": "",
        "module": "",
        "class": "RunPromise",
        "eggs": "",
        "config-<key>": "",
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """``path``: the file that the node runs."""
        title = check_name(options, "name", options.text("name", name))
        given = [option for option in ("command-line", "check", "module") if option in options]
        if len(given) != 1:
            raise options.error(
                "command-line",
                f"exactly one of command-line, check and module says what is checked, not {len(given)}.",
                reference="invalid-option",
            )
        if given[0] == "command-line":
            return Description(outputs={"path": os.path.join(options.directory, "etc", "promise", title)})
        module = cls.module_of(options)
        if not _MODULE.fullmatch(module):
            raise options.error(given[0], f"{module[:80]!r} is no Python module.", reference="invalid-option")
        file_name = title if title.endswith(".py") else f"{title}.py"
        check_plugin_name(options, "name", file_name)
        return Description(outputs={"path": os.path.join(options.directory, "etc", "plugin", file_name)})

    @staticmethod
    def module_of(options: OptionsView) -> str:
        """The module of the check; empty for a command."""
        check = options.text("check", "")
        # The field writes check_url_available, the module is url_available.
        return f"{_CHECKS}.{check.removeprefix('check_')}" if check else options.text("module", "")

    def install(self) -> list[str]:
        path = self.text("path")
        make_parents(path)
        module = self.module_of(self.view)
        if module:
            if "check" in self.view and importlib.util.find_spec(module) is None:
                raise self.error(
                    "check",
                    f"there is no built-in check {self.text('check')[:80]!r}.",
                    reference="unknown-check",
                    hint=f"The built-in checks are the modules of {_CHECKS}.",
                )
            write_if_changed(path, plugin_text(self, module, self.text("class", "RunPromise")), 0o644)
        else:
            arguments = [check_argument(self, "command-line", word) for word in self.words("command-line", ())]
            if not arguments:
                raise self.error("command-line", "names no program.", reference="missing-option")
            write_if_changed(path, exec_script(arguments), 0o700)
        return [path]

    def update(self) -> list[str]:
        """A value that the command refers to may be a list of another part."""
        return self.install()


def check_plugin_name(options: OptionsView, option: str, file_name: str) -> None:
    """Plugins are Python modules whose name begins with a letter or ``_``."""
    if not file_name.endswith(".py") or not (file_name[0].isalpha() or file_name[0] == "_"):
        raise options.error(
            option,
            f"{file_name[:100]!r} is no name of a promise plugin.",
            reference="invalid-name",
            hint="It begins with a letter or '_' and ends in .py.",
        )


def plugin_text(recipe: Recipe, module: str, kind: str) -> str:
    """The Python source of a plugin, in the shape that every launcher of promises understands (spec 06 §5)."""
    if not kind.isidentifier():
        raise recipe.error("class", f"{kind[:60]!r} is no name of a class.", reference="invalid-option")
    paths = egg_paths(recipe)
    lines = [
        "import sys",
        f"sys.path[0:0] = {paths!r}",
        f"extra_config_dict = {_configuration(recipe)!r}",
    ]
    if paths:
        lines += [
            "# The launcher imported its own modules of the namespace; those of the release come from the paths above.",
            "for name in [name for name in sys.modules if 'slapos' in name or 'pkg_resources' in name]:",
            "    del sys.modules[name]",
        ]
    if module:
        module = _served(recipe, module, bool(paths))
        lines.append(f"from {module} import {kind} as RunPromise")
    else:
        lines += [
            f"path = {recipe.text('file')!r}",
            "with open(path, 'rb') as stream:",
            "    exec(compile(stream.read(), path, 'exec'))",
            *([f"RunPromise = {kind}"] if kind != "RunPromise" else []),
        ]
    return "\n".join(["# Written by hyperopenx:promise; changes are lost.", *lines, ""])


def _served(recipe: Recipe, module: str, has_eggs: bool) -> str:
    """A check of slapos.toolbox that the release does not install, but we have, is ours."""
    if not module.startswith(_TOOLBOX):
        return module
    name = module.removeprefix(_TOOLBOX).removeprefix("check_")
    own = f"{_CHECKS}.{name}"
    if (not has_eggs or name in _ALWAYS_OURS) and importlib.util.find_spec(own) is not None:
        return own
    if not has_eggs:
        raise recipe.error(
            "eggs",
            f"{module} is of slapos.toolbox, which is not installed in the release.",
            reference="missing-egg",
            hint="Install it with a part of the software profile, and set eggs-directory in the instance profile.",
        )
    return module


def _configuration(recipe: Recipe) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for option in sorted(recipe.view):
        if option.startswith("config-"):
            key = option.removeprefix("config-")
            if key in _RESERVED:
                raise recipe.error(
                    option, f"{key!r} is a name that the launcher of promises uses.", reference="reserved-name"
                )
            result[key] = recipe.value(option)
    return result


def _check_source(options: OptionsView) -> None:
    module, file = options.text("module", ""), options.text("file", "")
    if bool(module) == bool(file):
        raise options.error("module", "either module or file names the promise.", reference="invalid-option")
    if module and not _MODULE.fullmatch(module):
        raise options.error("module", f"{module[:80]!r} is no Python module.", reference="invalid-option")
