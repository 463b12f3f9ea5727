"""Releases with parts that do what a build must not, built by the real engine into a store."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

from slapos.build.job import Job, Result
from slapos.build.run import execute
from slapos.build.store.store import Store

CONFIGURE = "#!/bin/sh\nexit 0\n"


def tarball(directory: Path, name: str, files: dict[str, str]) -> Path:
    """A source archive with executable ``files`` below one directory."""
    path = directory / f"{name}.tar"
    with tarfile.open(path, "w") as archive:
        for file, text in files.items():
            member = tarfile.TarInfo(f"{name}-1/{file}")
            member.size, member.mode = len(text.encode()), 0o755
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def section(directory: Path, name: str, make: str, more: str = "") -> str:
    """A part whose ``make`` is shell text, and which installs the file ``out``."""
    makefile = f"all:\n\t@sh -e ./doit\ninstall:\n\tmkdir -p $(DESTDIR)$(PREFIX)\n\tcp out $(DESTDIR)$(PREFIX)/{name}\n"
    source = tarball(directory, name, {"Makefile": makefile, "configure": CONFIGURE, "doit": f"{make}\n"})
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    return (
        f"[{name}]\nrecipe = hyperopenx:cmmi\nurl = file://{source}\nsha256 = {digest}\n"
        f"make-options = PREFIX=@@LOCATION@@\n{more}\n"
    )


def built(directory: Path, sections: str, parts: str, limits: str = "") -> Result:
    """The release built in ``directory / "work"`` with the store ``directory / "store"``."""
    work = directory / "work"
    work.mkdir(exist_ok=True)
    profile = directory / "software.cfg"
    profile.write_text(f"[buildout]\nparts = {parts}\n{limits}\n{sections}")
    overrides = {"buildout": {"store": str(directory / "store")}}
    return execute(Job(kind="build", directory=str(work), profile=str(profile), log="", overrides=overrides))


def refused(directory: Path, make: str, limits: str = "") -> dict[str, object]:
    """The error of a part that runs ``make``; nothing of it is in the store, and the innocent part beside it is."""
    sections = section(directory, "bad", make) + section(directory, "good", "echo good > out")
    result = built(directory, sections, "bad good", limits)
    assert result.outcome == "failed", result
    assert result.error is not None
    assert names(directory) == ["good"]
    assert not list((directory / "store").glob(".work/bad*"))
    return result.error


def names(directory: Path) -> list[str]:
    """What lies in the store as whole parts."""
    return [stored.part for stored in Store((str(directory / "store"),)).parts()]
