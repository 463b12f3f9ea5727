"""``check_port_listening``, ``check_url_available`` and ``check_page_content`` of the field: promises as programs.

New profiles write ``hyperopenx:promise`` with a built-in check, which needs no program and says more.
"""

from __future__ import annotations

import shlex
import sys
from typing import ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.places import check_argument, file_below, make_parents
from slapos.cookbook.script import exec_script
from slapos.system.files import write_if_changed

_PORT = """\
import socket, sys
host, port = sys.argv[1:3]
try:
    socket.create_connection((host, int(port)), 10).close()
except OSError as error:
    sys.exit(f"{port} on {host} isn't listening: {error}")
"""
_CURL = 'code=$("$curl" -g -k -sL --max-time "$timeout" -w "%{http_code}" -o /dev/null "$@" "$url") || code=000'
_URL = (
    'if [ -s "$limit" ] && [ -z "$(tr -d "0-9\\n" < "$limit")" ]; then timeout=$(cat "$limit"); fi',
    _CURL,
    'if [ "$secure" = 1 ] && [ "$code" = 401 ]; then echo "$url is protected (returned 401)."; exit 0; fi',
    'if [ "$code" = 000 ]; then echo "$url is not available (server not reachable)." >&2; exit 1; fi',
    'if [ "$code" != "$wanted" ]; then',
    '  echo "$url is not available (returned $code, expected $wanted)." >&2; exit 2',
    "fi",
)
_PAGE = (
    'page=$("$curl" -g -k -sL --max-time 20 "$url") || { echo "$url is not available." >&2; exit 1; }',
    'case "$page" in *"$match"*) exit 0 ;; esac',
    'echo "$url does not contain $match." >&2',
    "exit 2",
)


class _Check(Recipe):
    """Writes the promise ``path``."""

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """``path``, absolute."""
        return Description(outputs={"path": file_below(options, "path", "")})

    def install(self) -> list[str]:
        path = self.text("path")
        make_parents(path)
        write_if_changed(path, self.script(), 0o700)
        return [path]

    def update(self) -> list[str]:
        """The interpreter may have moved."""
        return self.install()

    def script(self) -> str:
        """The program."""
        raise NotImplementedError

    def variables(self, values: dict[str, str]) -> list[str]:
        """Shell lines that set variables to exactly these values."""
        return [f"{name}={shlex.quote(check_argument(self, 'path', value))}" for name, value in values.items()]


class PortListening(_Check):
    """Whether somebody listens at ``hostname`` and ``port``."""

    OPTIONS: ClassVar[dict[str, str]] = {"path": "mandatory", "hostname": "mandatory", "port": "mandatory"}

    def script(self) -> str:
        """Python of our own interpreter."""
        port = self.integer("port")
        if not 1 <= port <= 65535:
            raise self.error("port", "is between 1 and 65535.", reference="invalid-option")
        host = check_argument(self, "hostname", self.text("hostname").strip())
        return exec_script([sys.executable, "-I", "-c", _PORT, host, str(port)])


class UrlAvailable(_Check):
    """Whether ``url`` answers ``http_code``, asked with curl; the certificate of the server is not judged."""

    OPTIONS: ClassVar[dict[str, str]] = {
        "path": "mandatory",
        "url": "mandatory",
        "dash_path": "/bin/sh",
        "curl_path": "curl",
        "http_code": "200",
        "check-secure": "0",
        "timeout-file-path": "etc/promise_timeout",
        "ca-cert-file": "",
        "cert-file": "",
        "key-file": "",
    }

    def script(self) -> str:
        """Shell."""
        files = {"--cacert": "ca-cert-file", "--cert": "cert-file", "--key": "key-file"}
        given = {word: self.text(option, "").strip() for word, option in files.items()}
        arguments = [piece for pair in given.items() for piece in pair] if all(given.values()) else []
        values = {
            "url": self.text("url").strip(),
            "curl": self.text("curl_path", "curl").strip(),
            "wanted": self.text("http_code", "200").strip(),
            "secure": "1" if self.boolean("check-secure", False) else "0",
            "limit": self.text("timeout-file-path", "") or f"{self.directory}/etc/promise_timeout",
            "timeout": "20",
        }
        set_arguments = f"set -- {shlex.join(check_argument(self, 'path', word) for word in arguments)}".rstrip()
        return _script(self, [*self.variables(values), set_arguments, *_URL])


class PageContent(_Check):
    """Whether the page at ``url`` contains ``match``, by default the URL itself."""

    OPTIONS: ClassVar[dict[str, str]] = {
        "path": "mandatory",
        "url": "mandatory",
        "match": "the URL",
        "dash_path": "/bin/sh",
        "curl_path": "curl",
    }

    def script(self) -> str:
        """Shell."""
        url = self.text("url").strip()
        values = {"url": url, "curl": self.text("curl_path", "curl").strip(), "match": self.text("match", "") or url}
        return _script(self, [*self.variables(values), *_PAGE])


def _script(recipe: Recipe, lines: list[str]) -> str:
    shell = recipe.text("dash_path", "").strip() or "/bin/sh"
    if not shell.startswith("/") or any(character.isspace() for character in shell):
        raise recipe.error("dash_path", f"{shell[:60]!r} is no path of a shell.", reference="invalid-option")
    return "\n".join([f"#!{shell}", *lines, ""])
