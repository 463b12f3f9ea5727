"""A small release that is really built: a library with a patch, a tool that only its build needs, a program, a page."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

from slapos.cli import main as entry

MAKEFILE = """
all:

install:
\tmkdir -p $(DESTDIR)$(PREFIX)/$(KIND)
\tcp text $(DESTDIR)$(PREFIX)/$(KIND)/$(FILE)
\techo "$(NAMES)" > $(DESTDIR)$(PREFIX)/names
"""
PATCH = "--- text\n+++ text\n@@ -1 +1 @@\n-before\n+after\n"
LOW = """# low: a library without content.
# Source:  https://low.example.org; 2 is maintained for ever
# Licence: GPL-2.0-or-later with Bison-exception-2.2 (of a test), Zlib
[low]
recipe = hyperopenx:cmmi
version = 2.1
url = http://127.0.0.1:9/low-${:version}.tar.gz
mirrors = file://@TARBALL@
sha256 =
  0000000000000000000000000000000000000000000000000000000000000000
  @SHA256@
patches = ${:_profile_base_location_}/CVE-2026-1234.patch
make-options = PREFIX=@@LOCATION@@ KIND=lib FILE=liblow.so
"""
PROFILE = """[buildout]
extends = low.cfg
parts = top page

[tool]
recipe = hyperopenx:cmmi
url = file://@TARBALL@
sha256 = @SHA256@
make-options = PREFIX=@@LOCATION@@ KIND=bin FILE=tool

[top]
recipe = hyperopenx:cmmi
url = file://@TARBALL@
sha256 = @SHA256@
pre-configure = test -f ${tool:location}/bin/tool
make-options = PREFIX=@@LOCATION@@ KIND=bin FILE=top NAMES=${low:location}

[page]
recipe = hyperopenx:template
inline = ${top:location}
output = ${buildout:directory}/page
"""


@dataclass
class Small:
    """The release below ``directory``; ``sha256`` of the one source of all."""

    directory: Path
    sha256: str

    @property
    def profile(self) -> Path:
        return self.directory / "small" / "software.cfg"

    @property
    def low(self) -> Path:
        return self.directory / "small" / "low.cfg"


def build_small(directory: Path) -> Small:
    """Build it; the state directory is the environment's."""
    tarball = directory / "source.tar.gz"
    with tarfile.open(tarball, "w:gz") as archive:
        for name, content in (("Makefile", MAKEFILE), ("text", "before\n")):
            member = tarfile.TarInfo(f"source-1/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    small = Small(directory, hashlib.sha256(tarball.read_bytes()).hexdigest())
    small.profile.parent.mkdir()
    (small.profile.parent / "CVE-2026-1234.patch").write_text(PATCH)
    for path, text in ((small.low, LOW), (small.profile, PROFILE)):
        path.write_text(text.replace("@TARBALL@", str(tarball)).replace("@SHA256@", small.sha256))
    assert entry.run(["build", str(small.profile)]) == 0
    return small
