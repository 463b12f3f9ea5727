"""``hyperopenx:logrotate`` and ``logrotate.d``: rotation of an instance's own logs by the program ``logrotate``."""

from __future__ import annotations

import os
import re
import shutil
from typing import ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.pieces import shell_text
from slapos.cookbook.places import check_argument, check_name, file_below, make_parents, path_below
from slapos.cookbook.script import exec_script
from slapos.model.errors import MachineError
from slapos.system.files import write_if_changed

_FREQUENCIES = ("hourly", "daily", "weekly", "monthly", "yearly")
_SIZE = re.compile(r"[0-9]+[kMG]?")
_SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Logrotate(Recipe):
    """The main configuration, and a wrapper that rotates what is due each time that it is run."""

    OPTIONS: ClassVar[dict[str, str]] = {
        "logrotate-entries": "etc/logrotate.d",
        "conf": "etc/logrotate.conf",
        "wrapper": "bin/logrotate",
        "state-file": "var/logrotate.status",
        "logrotate-binary": "searched for",
        "gzip-binary": "logrotate's own",
        "gunzip-binary": "logrotate's own",
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """The paths, absolute."""
        return Description(
            outputs={
                "logrotate-entries": path_below(options, "logrotate-entries", "etc/logrotate.d"),
                "conf": file_below(options, "conf", "etc/logrotate.conf"),
                "wrapper": file_below(options, "wrapper", "bin/logrotate"),
                "state-file": file_below(options, "state-file", "var/logrotate.status"),
            }
        )

    def install(self) -> list[str]:
        entries, conf, wrapper, state = (
            self.text(option) for option in ("logrotate-entries", "conf", "wrapper", "state-file")
        )
        os.makedirs(entries, exist_ok=True)
        for path in (conf, wrapper, state):
            make_parents(path)
        write_if_changed(conf, self._configuration(entries), 0o600)
        write_if_changed(wrapper, exec_script([self._binary(), "-s", state, conf]), 0o700)
        return [conf, wrapper]

    def update(self) -> list[str]:
        """The program may have moved."""
        return self.install()

    def _configuration(self, entries: str) -> str:
        lines = ["compress", "missingok", "notifempty", "nomail"]
        for option, directive in (("gzip-binary", "compresscmd"), ("gunzip-binary", "uncompresscmd")):
            if self.text(option, ""):
                lines.append(f"{directive} {_plain_path(self.view, option, self.text(option))}")
        return "\n".join([*lines, f"include {_plain_path(self.view, 'logrotate-entries', entries)}", ""])

    def _binary(self) -> str:
        found = self.text("logrotate-binary", "") or shutil.which("logrotate", path=_SEARCHED)
        if not found:
            raise MachineError(
                "The program logrotate was not found.",
                reference="missing-tool",
                context={"tool": "logrotate", "searched": _SEARCHED},
                hint="Build it as a component and give its path in logrotate-binary, or install Debian's logrotate.",
            )
        return check_argument(self, "logrotate-binary", found)


class Entry(Recipe):
    """Which logs are rotated, how often, and how many are kept."""

    OPTIONS: ClassVar[dict[str, str]] = {
        "logrotate-entries": "etc/logrotate.d",
        "name": "the part's name",
        "log": "mandatory",
        "backup": "",
        "frequency": "daily",
        "rotate-num": "3650",
        "maxsize": "",
        "compress": "true",
        "delaycompress": "false",
        "copytruncate": "false",
        "pre": "",
        "post": "",
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """``path``: the entry."""
        title = check_name(options, "name", options.text("name", name))
        frequency = options.text("frequency", "daily")
        if frequency not in _FREQUENCIES:
            raise options.error("frequency", f"is one of {', '.join(_FREQUENCIES)}.", reference="invalid-option")
        if not 0 <= options.integer("rotate-num", 3650) <= 100_000:
            raise options.error("rotate-num", "is between 0 and 100000.", reference="invalid-option")
        if options.text("maxsize", "") and not _SIZE.fullmatch(options.text("maxsize")):
            raise options.error("maxsize", "is a size such as 100k, 20M or 1G.", reference="invalid-option")
        directory = path_below(options, "logrotate-entries", "etc/logrotate.d")
        return Description(outputs={"path": os.path.join(directory, title)})

    def install(self) -> list[str]:
        logs = [_plain_path(self.view, "log", log) for log in self.names("log", ())]
        if not logs:
            raise self.error("log", "names no file.", reference="missing-option")
        path = self.text("path")
        make_parents(path)
        body = "".join(f"  {line}\n" for line in self._directives(logs))
        write_if_changed(path, " ".join(f'"{log}"' for log in logs) + " {\n" + body + "}\n", 0o600)
        return [path]

    def _directives(self, logs: list[str]) -> list[str]:
        result = [
            self.text("frequency", "daily"),
            f"rotate {self.integer('rotate-num', 3650)}",
            "dateext",
            "sharedscripts",
        ]
        if self.text("frequency", "daily") == "hourly" or self.text("maxsize", ""):
            result.append("dateformat -%Y%m%d-%s")  # more than one a day would have one name
        if self.text("maxsize", ""):
            result.append(f"maxsize {self.text('maxsize')}")
        if not self.boolean("compress", True):
            result.append("nocompress")
        result += [option for option in ("delaycompress", "copytruncate") if self.boolean(option, False)]
        if self.text("backup", ""):
            result.append(f"olddir {self._backup(logs)}")
        for option, directive in (("pre", "prerotate"), ("post", "postrotate")):
            result += self._script(option, directive)
        return result

    def _backup(self, logs: list[str]) -> str:
        """Where rotated logs go.  logrotate takes no blank in this path; a path relative to the log may avoid it."""
        path = _plain_path(self.view, "backup", path_below(self.view, "backup", ""))
        os.makedirs(path, exist_ok=True)
        choices = {path} if " " not in path else {os.path.relpath(path, os.path.dirname(log)) for log in logs}
        if len(choices) > 1 or " " in min(choices):
            raise self.error(
                "backup",
                f"{path!r} has a space, and the logs lie in more than one directory.",
                reference="unsafe-value",
                hint="Write one entry for each directory of logs.",
            )
        return min(choices)

    def _script(self, option: str, directive: str) -> list[str]:
        command = check_argument(self, option, shell_text(self, option)) if option in self.view else ""
        if any(line.strip() == "endscript" for line in command.splitlines()):
            raise self.error(option, "has a line 'endscript', which would end it.", reference="unsafe-value")
        return [directive, *command.splitlines(), "endscript"] if command.strip() else []


def _plain_path(options: OptionsView, option: str, path: str) -> str:
    """``path`` when it can stand within quotes of logrotate's language, which has no escapes."""
    if not path.startswith("/") or re.search(r'["\\\x00-\x1f]', path):
        raise options.error(
            option, f"{path[:100]!r} is no absolute path without quotes and line breaks.", reference="unsafe-value"
        )
    return path
