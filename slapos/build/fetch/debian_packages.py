"""Debian's binary packages: a file by its sha256, and the lines that pin packages with all that they need.

apt verifies the signature of the archive's indexes; a file that an index names is brought by apt.  One that no index
names any more (Debian replaced it) is looked for where it lay: then the pinned sha256 alone decides.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from slapos.build.fetch.aptsources import Archive
from slapos.build.fetch.debian import AptRelease, DebianArchive, Record
from slapos.build.recipe import Source
from slapos.model.errors import NotFound

OF_THE_MACHINE = frozenset({"libc6", "libc6-amd64", "libgcc-s1", "gcc-12-base", "gcc-14-base", "libcrypt1"})
"""What :meth:`DebianPackages.lock` leaves out: programs use the C library of the machine."""

_CHOSEN = re.compile(r"^Inst (\S+) \((\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Pinned:
    """One exact package; ``file`` is where it lies below the archive's address."""

    name: str
    version: str
    sha256: str
    file: str

    @property
    def line(self) -> str:
        """As the recipe ``debian`` reads it."""
        return f"{self.name}={self.version} {self.sha256} {self.file}"


class PackagesRelease(AptRelease):
    """The indexes of binary packages of one release."""

    kind: ClassVar[str] = "deb"
    index: ClassVar[str] = "Packages"

    def records(self, index: str, uri: str, digests: tuple[str, ...]) -> Iterator[Record]:
        """Files with one of the digests in an uncompressed ``Packages`` index."""
        with open(index, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for digest in digests:
                position = data.find(f"\nSHA256: {digest}\n".encode())
                if position < 0:
                    continue
                begin, end = data.rfind(b"\n\n", 0, position) + 1, data.find(b"\n\n", position)
                stanza = data[begin : end if end >= 0 else len(data)].decode("utf-8", errors="replace")
                file = re.search(r"^Filename: (\S+)$", stanza, re.MULTILINE)
                if file:
                    yield Record(f"{uri.rstrip('/')}/{file[1]}", digest)


class DebianPackages(DebianArchive):
    """Brings binary packages, named by where they lie in the archive (``pool/main/h/hello/hello_2.10-3_amd64.deb``)."""

    release: ClassVar[type[AptRelease]] = PackagesRelease
    what: ClassVar[str] = "package"

    def guesses(self, archives: list[Archive], package: str, source: Source) -> list[Record]:
        """The place named, in each archive."""
        places = dict.fromkeys(archive.uri.rstrip("/") for archive in archives)
        return [Record(f"{place}/{package}", digest) for place in places for digest in source.sha256]

    def lock(self, names: Sequence[str], seconds: float = 600.0) -> list[Pinned]:
        """``names`` and all that they depend on, in the machine's own release of Debian, as apt chooses today.

        Without recommended packages and :data:`OF_THE_MACHINE`.  ``NotFound`` ``no-debian-package`` for a name that
        Debian does not have.
        """
        release, archives = next(self.releases(names[0]))
        release.refresh(archives, seconds)
        command = ["apt-get", "--simulate", "--no-install-recommends", "-o", "APT::Install-Suggests=0", "install"]
        done = release.run([*command, "--", *names], seconds)
        if done.code != 0:
            lines = [line for line in done.text.splitlines() if line.startswith("E:")]
            raise NotFound(
                f"apt cannot choose {', '.join(names)}: {' '.join(lines)[:300]}",
                reference="no-debian-package",
                context={"packages": list(names)},
            )
        chosen = [pair for pair in _CHOSEN.findall(done.text) if pair[0] not in OF_THE_MACHINE]
        return sorted(map(_pinned, chosen, [release] * len(chosen)), key=lambda pinned: pinned.name)


def _pinned(chosen: tuple[str, str], release: AptRelease) -> Pinned:
    name, version = chosen
    text = release.run(["apt-cache", "show", "--no-all-versions", f"{name}={version}"], 60.0).text
    fields = dict(re.findall(r"^(Filename|SHA256): (\S+)$", text, re.MULTILINE))
    return Pinned(name, version, fields["SHA256"], os.path.normpath(fields["Filename"]))
