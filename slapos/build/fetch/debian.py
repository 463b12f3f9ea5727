"""The Debian source archive of the machine as a mirror: ``debian:<source package>``, or with ``/<file>`` after it.

An upstream tarball is often there with the same bytes; the record is found by sha256 in the ``Sources`` index, so a
version need not be named.  A file that is named is also looked for where the archive's pool keeps it: it stays there
for a while when the index already tells of a newer one.  apt does the transport and the signatures, in a private
configuration derived from the machine's own sources: nothing of the machine's apt state is read or changed, and it
works as an ordinary user.
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from slapos.build.fetch.aptsources import Archive, codenames, debian_archives, read_archives
from slapos.build.fetch.transfer import digest_of
from slapos.build.recipe import Source
from slapos.model.errors import Unavailable
from slapos.system.files import atomic_write
from slapos.system.locks import locked
from slapos.system.processes import CLEAN_ENVIRONMENT, Completed, Launch, run

FRESH = 24 * 3600.0
"""Seconds for which fetched indexes are used without asking for newer ones."""

_APT_HELPER = "/usr/lib/apt/apt-helper"
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_CLEARED = ("APT::Update::Pre-Invoke", "APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success", "DPkg")


@dataclass(frozen=True)
class Record:
    """A file in an archive."""

    uri: str
    sha256: str


class AptRelease:
    """The private apt configuration and indexes of one release of Debian; ``kind`` and ``index`` say of which files."""

    kind: ClassVar[str] = "deb-src"
    index: ClassVar[str] = "Sources"

    def __init__(self, directory: str, *, apt_directory: str) -> None:
        self.directory = directory
        self.apt_directory = apt_directory
        self.codename = os.path.basename(directory)
        self.stamp = os.path.join(directory, "updated")

    def find(self, archives: list[Archive], source: Source, seconds: float) -> list[Record]:
        """Where a file with an accepted digest lies; newer indexes are asked for only when it is not found."""
        os.makedirs(self.directory, exist_ok=True)
        with locked(os.path.join(self.directory, "lock"), timeout=seconds, what="The index of the Debian archive"):
            known = self._configure(self._stanzas(archives)) and os.path.exists(self.stamp)
            records = self._search(source) if known else []
            if not records and not (known and self._is_fresh()):
                self._update(seconds)
                records = self._search(source)
            return records

    def download(self, record: Record, target: str, seconds: float) -> str:
        """Let apt bring the file and check it."""
        temporary = f"{target}.apt"
        done = self.run([_APT_HELPER, "download-file", record.uri, temporary, f"SHA256:{record.sha256}"], seconds)
        if done.code != 0:
            raise Unavailable(f"{record.uri}: {_last_line(done)}", reference="unreachable", context={"url": record.uri})
        shutil.move(temporary, target)
        return digest_of(target)

    def refresh(self, archives: list[Archive], seconds: float) -> None:
        """Have indexes that are fresh enough."""
        os.makedirs(self.directory, exist_ok=True)
        with locked(os.path.join(self.directory, "lock"), timeout=seconds, what="The index of the Debian archive"):
            known = self._configure(self._stanzas(archives)) and os.path.exists(self.stamp)
            if not (known and self._is_fresh()):
                self._update(seconds)

    def _stanzas(self, archives: list[Archive]) -> str:
        return "\n".join(archive.as_stanza(self.kind) for archive in archives)

    def _is_fresh(self) -> bool:
        return time.time() - os.path.getmtime(self.stamp) < FRESH

    def _configure(self, stanzas: str) -> bool:
        """Write the configuration; whether it is the one that the indexes were made with."""
        for name in ("sources.d", "lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(self.directory, name), exist_ok=True)
        path = os.path.join(self.directory, "sources.d", "private.sources")
        same = os.path.exists(path) and _content(path) == stanzas
        if not same:
            atomic_write(os.path.join(self.directory, "status"), "")
            atomic_write(path, stanzas)
        atomic_write(os.path.join(self.directory, "main.conf"), self._main_configuration(), fsync=False)
        first = f'Dir::Etc::main "{self.directory}/main.conf";\n'
        atomic_write(os.path.join(self.directory, "first.conf"), first, fsync=False)
        return same

    def _main_configuration(self) -> str:
        """Read after the machine's own ``apt.conf.d`` (proxies stay), so that it wins and clears foreign hooks."""
        machine = os.path.join(self.apt_directory, "apt.conf")
        values = {
            "Acquire::GzipIndexes": "false",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
            "APT::Sandbox::User": "",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": f"{self.directory}/sources.d",
            "Dir::State": self.directory,
            "Dir::State::lists": f"{self.directory}/lists",
            "Dir::State::status": f"{self.directory}/status",
            "Dir::Cache": f"{self.directory}/cache",
            "Dir::Log": f"{self.directory}/log",
        }
        included = [f'#include "{machine}";'] if os.path.exists(machine) else []
        lines = [*included, *(f"#clear {name};" for name in _CLEARED)]
        return "\n".join([*lines, *(f'{name} "{value}";' for name, value in values.items())]) + "\n"

    def _update(self, seconds: float) -> None:
        done = self.run(["apt-get", "-q", "update"], seconds)
        if done.code != 0:
            raise Unavailable(f"apt-get update: {_last_line(done)}", reference="unreachable")
        atomic_write(self.stamp, "", fsync=False)

    def _search(self, source: Source) -> list[Record]:
        """The records of every suite, each place once, in the order of the machine's sources."""
        wanted = ["--format", "$(FILENAME) $(REPO_URI)", f"Created-By: {self.index}"]
        done = self.run(["apt-get", "indextargets", *wanted], 60)
        found: list[Record] = []
        for line in done.text.splitlines():
            path, _, uri = line.partition(" ")
            if uri and os.path.exists(path) and os.path.getsize(path):
                found += self.records(path, uri, source.sha256)
        return list(dict.fromkeys(found))

    def records(self, index: str, uri: str, digests: tuple[str, ...]) -> Iterator[Record]:
        """See :func:`find_records`."""
        return find_records(index, uri, digests)

    def run(self, command: list[str], seconds: float) -> Completed:
        """Run a program of apt with this configuration."""
        environment = {**CLEAN_ENVIRONMENT, "APT_CONFIG": f"{self.directory}/first.conf"}
        environment |= {name: os.environ[name] for name in _PROXIES if name in os.environ}
        return run(command, launch=Launch(directory=self.directory, environment=environment), timeout=seconds)


class DebianArchive:
    """Keeps its indexes below ``directory``; ``apt_directory`` is where the machine's sources are described."""

    release: ClassVar[type[AptRelease]] = AptRelease
    what: ClassVar[str] = "source package"

    def __init__(self, *, directory: str, apt_directory: str = "/etc/apt") -> None:
        self.directory = directory
        self.apt_directory = apt_directory

    def fetch(self, package: str, source: Source, target: str, seconds: float) -> str:
        """Bring a file of ``package`` with an accepted digest to ``target``; its sha256.

        The indexes of the machine's own release are asked first, then those of the others; what one suite cannot
        give, another may.  ``Unavailable`` with all that was tried when apt or the record is missing.
        """
        tried: dict[str, str] = {}
        asked: set[Record] = set()
        for release, archives in self.releases(package):
            try:
                records = release.find(archives, source, seconds)
            except Unavailable as error:
                tried[release.codename] = error.message.rstrip(".")
                continue
            if not records:
                tried[release.codename] = "no file of these digests"
            for record in [*records, *self.guesses(archives, package, source)]:
                if record in asked:
                    continue
                asked.add(record)
                try:
                    return release.download(record, target, seconds)
                except Unavailable as error:
                    tried[record.uri] = error.message.removeprefix(f"{record.uri}: ").rstrip(".")
        raise self._missing(package, "; ".join(f"{place}: {why}" for place, why in tried.items()))

    def releases(self, package: str) -> Iterator[tuple[AptRelease, list[Archive]]]:
        """The releases of Debian to ask for ``package``; ``Unavailable`` on a machine that has none."""
        archives = read_archives(self.apt_directory)
        names = codenames(archives)
        if not names or not os.path.exists(_APT_HELPER):
            raise self._missing(package, f"this machine has no Debian {self.what.split()[0]} archive configured")
        for codename in names:
            release = self.release(os.path.join(self.directory, codename), apt_directory=self.apt_directory)
            yield release, debian_archives(archives, codename)

    def guesses(self, archives: list[Archive], package: str, source: Source) -> list[Record]:
        """Where the file may lie although no index names it."""
        name, _, file = package.partition("/")
        return pool_records(archives, name, file, source)

    def _missing(self, package: str, why: str) -> Unavailable:
        name = package.partition("/")[0] if self.what == DebianArchive.what else package
        return Unavailable(
            f"the Debian {self.what} {name}: {why}", reference="no-debian-source", context={"package": name}
        )


def find_records(index: str, uri: str, digests: tuple[str, ...]) -> Iterator[Record]:
    """The files with one of the ``digests`` in an uncompressed ``Sources`` index of the archive ``uri``."""
    with open(index, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for digest in digests:
            position = data.find(f"\n {digest} ".encode())
            while position >= 0:
                begin = data.rfind(b"\n\n", 0, position) + 1
                end = data.find(b"\n\n", position)
                stanza = data[begin : end if end >= 0 else len(data)].decode("utf-8", errors="replace")
                directory = re.search(r"^Directory: (.+)$", stanza, re.MULTILINE)
                file = re.search(rf"^ {digest} \d+ (\S+)$", stanza, re.MULTILINE)
                if directory and file:
                    yield Record(f"{uri.rstrip('/')}/{directory[1]}/{file[1]}", digest)
                position = data.find(f"\n {digest} ".encode(), end) if end >= 0 else -1


def pool_records(archives: list[Archive], package: str, file: str, source: Source) -> list[Record]:
    """Where ``file`` of the source ``package`` may lie in the pools, as Debian lays them out; none when unnamed."""
    if not file:
        return []
    folder = package[: 4 if package.startswith("lib") else 1]
    pools = {
        f"{archive.uri.rstrip('/')}/pool/{'updates/' * archive.suite.endswith('-security')}main" for archive in archives
    }
    return [Record(f"{pool}/{folder}/{package}/{file}", digest) for pool in sorted(pools) for digest in source.sha256]


def _content(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def _last_line(done: Completed) -> str:
    lines = [line for line in done.text.strip().splitlines() if line.strip()]
    return lines[-1] if lines else f"ended with {done.code}"
