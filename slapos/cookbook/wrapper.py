"""``hyperopenx:wrapper``: an executable that starts a program with exactly these arguments and variables."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import sys
from typing import ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.pieces import of_the_field, pairs, words
from slapos.cookbook.places import check_argument, file_below, make_parents
from slapos.cookbook.script import exec_script
from slapos.system.files import write_if_changed

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIGNALS = frozenset({"HUP", "USR1", "USR2", "WINCH", "INT", "QUIT", "TERM", "ALRM", "PIPE", "CONT"})
_SIZE = re.compile("[0-9]+[kKmMgG%]?")
_LAUNCHER = "slapos.cookbook.launcher"
_REDIRECTED = {"redirect-stdout": ">>", "redirect-stderr": "2>>"}
_SERVICE_DIRECTORIES = ("etc/service", "etc/run")


class Wrapper(Recipe):
    """Writes ``wrapper-path``, and beside the services what tells the node when to restart or to reload."""

    OPTIONS: ClassVar[dict[str, str]] = {
        "command-line": "mandatory",
        "wrapper-path": "mandatory",
        "environment": "",
        "wait-for-files": "",
        "pidfile": "",
        "sig-ign": "",
        "redirect-stdout": "",
        "redirect-stderr": "",
        "redirect-signal": "",
        "private-tmpfs": "",
        "hash-files": "",
        "hash-existing-files": "",
        "hash-in-name": "false",
        "reserve-cpu": "false",
        "reload-files": "",
        "reload-signal": "HUP",
        "reload-check-command": "",
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """``path``: the wrapper, without the hash that ``hash-in-name`` appends."""
        for option in ("reload-signal", "redirect-signal"):
            signal = options.text(option, "").removeprefix("SIG")
            if signal and signal not in _SIGNALS:
                raise options.error(option, f"{signal[:20]!r} is no signal for this.", reference="invalid-option")
        if options.text("redirect-signal", "") and not any(options.text(option, "") for option in _REDIRECTED):
            raise options.error(
                "redirect-signal", "makes no sense without redirected output.", reference="invalid-option"
            )
        return Description(outputs={"path": file_below(options, "wrapper-path", "")})

    def install(self) -> list[str]:
        base = self.text("path")
        text = self._text()
        files = self.names("hash-files", ()) + self.names("hash-existing-files", ())
        restart = self._digest(text, files)
        is_field = of_the_field(self.view)
        named = self._digest("", files) if is_field else restart  # the field's name tells of the files alone
        path = f"{base}-{named[:32]}" if self.boolean("hash-in-name", is_field and bool(files)) else base
        make_parents(path)
        write_if_changed(path, text, 0o700)
        if path != base:
            self._remove_older(base, path)
        facts = self._write_facts(path, restart)
        return [path, *([facts] if facts else [])]

    def update(self) -> list[str]:
        """The files named by ``hash-files`` and ``reload-files`` change without any option changing."""
        return self.install()

    def _text(self) -> str:
        arguments = [check_argument(self, "command-line", word) for word in words(self, "command-line")]
        if not arguments:
            raise self.error("command-line", "names no program.", reference="missing-option")
        launcher = self._launcher()
        redirected = "--stdout" in launcher or "--stderr" in launcher
        return exec_script([*launcher, *arguments], self._preparation(by_launcher=redirected))

    def _launcher(self) -> list[str]:
        """What starts the program where a shell cannot do what is asked for; empty when it can."""
        given = []
        for line in self.lines("private-tmpfs", ()):
            size, _, path = line.partition(" ")
            if not _SIZE.fullmatch(size) or not path.strip():
                raise self.error("private-tmpfs", f"{line[:80]!r} is not 'size path'.", reference="invalid-option")
            given += ["--tmpfs", size, check_argument(self, "private-tmpfs", path.strip())]
        signal = self.text("redirect-signal", "").removeprefix("SIG")
        if signal or of_the_field(self.view):
            for option in _REDIRECTED:
                target = check_argument(self, option, self.text(option, ""))
                given += [f"--{option.removeprefix('redirect-')}", target] if target else []
            given += ["--signal", signal] if signal else []
        return [sys.executable, "-I", "-m", _LAUNCHER, *given, "--"] if given else []

    def _preparation(self, *, by_launcher: bool) -> list[str]:
        """Shell lines before ``exec``, in the order in which a program wants them done."""
        result = [f"export {key}={shlex.quote(value)}" for key, value in self._environment().items()]
        if self.boolean("reserve-cpu", False):
            result.append('echo $$ >> "$HOME/.slapos-cpu-exclusive"')
        ignored = [signal.removeprefix("SIG") for signal in self.names("sig-ign", ())]
        for signal in ignored:
            if signal not in _SIGNALS:
                raise self.error("sig-ign", f"{signal[:20]!r} is no signal for this.", reference="invalid-option")
        if ignored:
            result.append(f"trap '' {' '.join(ignored)}")
        awaited = [check_argument(self, "wait-for-files", path) for path in self.names("wait-for-files", ())]
        result += [f"until [ -e {shlex.quote(path)} ]; do sleep 0.2; done" for path in awaited]
        if by_launcher:
            result.append("trap '' USR1")  # until the launcher is there
        else:
            result += self._redirections()
        pidfile = check_argument(self, "pidfile", self.text("pidfile", ""))
        if pidfile:
            result.append(f"echo $$ > {shlex.quote(pidfile)}")
        return result

    def _redirections(self) -> list[str]:
        found = (
            (check_argument(self, option, self.text(option, "")), operator) for option, operator in _REDIRECTED.items()
        )
        return [f"exec {operator}{shlex.quote(target)}" for target, operator in found if target]

    def _environment(self) -> dict[str, str]:
        """Variables of the option ``environment``: lines ``NAME=value``, or a Python dictionary."""
        value = self.value("environment", "")
        given = [(str(key), str(item)) for key, item in value.items()] if isinstance(value, dict) else None
        variables = dict(pairs(self, "environment") if given is None else given)
        for key, item in variables.items():
            if not _VARIABLE.fullmatch(key):
                raise self.error("environment", f"{key[:60]!r} is no name of a variable.", reference="invalid-option")
            check_argument(self, "environment", f"{key}={item}")
        return variables

    def _digest(self, text: str, paths: list[str]) -> str:
        digest = hashlib.sha256(text.encode())
        for path in paths:
            digest.update(f"\n{path}\n{_file_digest(path)}".encode())
        return digest.hexdigest()

    def _write_facts(self, path: str, restart: str) -> str:
        """What the node compares (contract of ``.hyperopenx/services``); empty for what is no service."""
        relative = os.path.relpath(os.path.dirname(path), self.directory)
        if relative not in _SERVICE_DIRECTORIES:
            return ""
        check = [check_argument(self, "reload-check-command", word) for word in self.words("reload-check-command", ())]
        reloaded = self.names("reload-files", ())
        facts = {
            "restart": restart,
            "reload": self._digest("", reloaded) if reloaded else "",
            "reload_signal": self.text("reload-signal", "HUP").removeprefix("SIG"),
            "check_command": check or None,
        }
        target = os.path.join(self.directory, ".hyperopenx", "services", f"{os.path.basename(path)}.json")
        make_parents(target)
        write_if_changed(target, json.dumps(facts, indent=2, sort_keys=True) + "\n", 0o600)
        return target

    def _remove_older(self, base: str, path: str) -> None:
        """Wrappers of earlier contents: the node would run them beside the new one."""
        older = re.compile(re.escape(os.path.basename(base)) + "-[0-9a-f]{32}")
        for name in os.listdir(os.path.dirname(base)):
            if older.fullmatch(name) and name != os.path.basename(path):
                os.unlink(os.path.join(os.path.dirname(base), name))
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self.directory, ".hyperopenx", "services", f"{name}.json"))


def _file_digest(path: str) -> str:
    """The digest of a file, a word of its own when there is none (it may appear later)."""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
