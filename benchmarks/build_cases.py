"""What ``benchmarks/build.py`` measures, each case with its peer in the same run."""

from __future__ import annotations

import hashlib
import io
import os
import statistics
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from builders import (
    PROFILES,
    SLAPOS,
    TOP,
    UPSTREAM_PROFILE,
    Bench,
    Took,
    by_hand,
    differences,
    ours,
    timed,
    upstream_command,
)

from slapos.system.removal import remove_tree

WEBSITE = TOP / "software" / "website" / "software.cfg"
BURNERS = 4
PARTS = 100
PLANS = 7
PULLS = 3

#: One job that computes for some seconds and then installs one file.
BURN = """
PREFIX = /nowhere
all:
\tawk 'BEGIN { for (i = 0; i < ROUNDS; i++) s += i % 7; print s }' > result
install:
\tmkdir -p $(DESTDIR)$(PREFIX)
\tcp result $(DESTDIR)$(PREFIX)/
"""


def cold(bench: Bench, parts: Sequence[str], rounds: int) -> dict[str, Any]:
    """The website (all of it, or only ``parts``) from tarballs, by hand, with ours and with upstream's."""
    profile = _chosen(bench, parts) if parts else WEBSITE
    example = bench.graph(_chosen(bench, parts) if parts else PROFILES / "website.cfg", bench.top / "example")
    sources = bench.sources(example)
    theirs = bench.graph(_upstream_chosen(bench, parts), bench.top / "example", sources)
    different = list(differences(example, theirs))
    if different:
        raise SystemExit("\n".join(["The profiles differ:", *different]))
    bench.upstream()
    took: dict[str, list[Took]] = {"by hand": [], "ours": [], "upstream": []}
    for _ in range(rounds):
        directory = bench.fresh("hand")
        script = directory / "build.sh"
        graph = bench.graph(_chosen(bench, parts) if parts else PROFILES / "website.cfg", directory)
        script.write_text(by_hand(graph, sources, directory / "work"))
        took["by hand"].append(timed(["sh", str(script)], directory / "log"))
        directory = bench.fresh("ours")
        took["ours"].append(timed(ours(profile, directory), directory / "log", more=bench.state))
        directory = bench.fresh("upstream")
        command = upstream_command(bench, directory, sources, _upstream_chosen(bench, parts))
        took["upstream"].append(timed(command, directory / "log"))
    return {"parts": list(sources), **{name: _median(values) for name, values in took.items()}}


def beside(bench: Bench, rounds: int, burn: int) -> dict[str, Any]:
    """Four parts that need nothing but a processor, on one slot and on two."""
    profile = _burners(bench, BURNERS, burn)
    took: dict[str, list[Took]] = {"one": [], "two": []}
    for _ in range(rounds):
        for name, jobs in (("one", "1"), ("two", "2")):
            directory = bench.fresh(name)
            took[name].append(timed(ours(profile, directory, "--jobs", jobs), directory / "log", more=bench.state))
    return {name: _median(values) for name, values in took.items()}


def plan(bench: Bench) -> dict[str, Any]:
    """A release of 100 parts that are there: its plan, and upstream's run that finds nothing to do."""
    profile = _burners(bench, PARTS, 10)
    directory = bench.fresh("plan")
    build = timed(ours(profile, directory), directory / "log", more=bench.state)
    again = [timed(ours(profile, directory), directory / "log", more=bench.state) for _ in range(PLANS)]
    plans = [timed(ours(profile, directory, "--plan"), directory / "log", more=bench.state) for _ in range(PLANS)]
    counted = (directory / "log").read_text()
    peer = bench.fresh("upstream-plan")
    other = _upstream_burners(bench)
    command = [str(bench.upstream()), "-U", "-q", "-c", str(other), f"buildout:directory={peer}"]
    upstream = timed(command, peer / "log")
    idle = [timed(command, peer / "log") for _ in range(PLANS)]
    return {
        "summary": counted.strip().splitlines()[-1],
        "build": vars(build),
        "upstream build": vars(upstream),
        "plan": _median(plans),
        "again": _median(again),
        "upstream": _median(idle),
    }


def cached(bench: Bench, parts: Sequence[str]) -> dict[str, Any]:
    """The website from a binary cache in a directory of this disk, and a plain copy of the same files."""
    profile = _chosen(bench, parts) if parts else WEBSITE
    bench.sources(bench.graph(_chosen(bench, parts) if parts else PROFILES / "website.cfg", bench.top))
    directory = bench.fresh("cached")
    log, store, key, cache = (directory / name for name in ("log", "store", "key", "cache"))
    timed(ours(profile, directory), log, more=bench.state)
    timed([SLAPOS, "cache", "keygen", str(key)], log, more=bench.state)
    timed([SLAPOS, "cache", "push", str(cache), "--key", str(key), "--store", str(store)], log, more=bench.state)
    trust = ["--cache", str(cache), "--key", f"{key}.pub"]
    built = directory / "built"
    store.rename(built)
    took: dict[str, list[Took]] = {"copy": [], "cache": [], "moved": []}
    for _ in range(PULLS):
        took["copy"].append(timed(["sh", "-ec", f"cp -a {built} {directory}/copy; sync -f {directory}/copy"], log))
        took["cache"].append(timed(ours(profile, directory, *trust), log, more=bench.state))
        other = bench.fresh("moved")
        took["moved"].append(timed(ours(profile, other, *trust), log, more=bench.state))
        files, size = size_of(store)
        for name in ("copy", "store", "release"):
            remove_tree(str(directory / name))
    return {"files": files, "bytes": size, **{name: _median(values) for name, values in took.items()}}


def _median(values: Sequence[Took]) -> dict[str, float]:
    return {
        "wall": statistics.median(item.wall for item in values),
        "cpu": statistics.median(item.cpu for item in values),
        "least": min(item.wall for item in values),
        "most": max(item.wall for item in values),
    }


def _chosen(bench: Bench, parts: Sequence[str]) -> Path:
    return _written(bench, "chosen.cfg", [f"extends = {PROFILES / 'website.cfg'}", "parts =", *_indented(parts)])


def _upstream_chosen(bench: Bench, parts: Sequence[str]) -> Path:
    if not parts:
        return UPSTREAM_PROFILE
    return _written(bench, "chosen-upstream.cfg", [f"extends = {UPSTREAM_PROFILE}", "parts =", *_indented(parts)])


def _indented(words: Sequence[str]) -> list[str]:
    return [f"  {word}" for word in words]


def _written(bench: Bench, name: str, lines: Sequence[str], sections: Sequence[str] = ()) -> Path:
    path = bench.top / name
    path.write_text("\n".join(["[buildout]", *lines, "", *sections]) + "\n")
    return path


def _tarball(bench: Bench, rounds: int) -> tuple[Path, bytes]:
    """The source of one part that computes; the same bytes each time."""
    data = BURN.replace("ROUNDS", str(rounds)).encode()
    path = bench.top / f"burn-{rounds}.tar"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("burn/Makefile")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    path.write_bytes(stream.getvalue())
    return path, path.read_bytes()


def _burners(bench: Bench, count: int, rounds: int) -> Path:
    path, data = _tarball(bench, rounds)
    sections = [
        "[burn]",
        "recipe = hyperopenx:cmmi",
        f"url = file://{path}",
        f"sha256 = {hashlib.sha256(data).hexdigest()}",
        "make-options = PREFIX=@@LOCATION@@",
    ]
    return _written(bench, f"burn-{count}.cfg", *_numbered(count, sections))


def _upstream_burners(bench: Bench) -> Path:
    path, data = _tarball(bench, 10)
    sections = [
        "[burn]",
        "recipe = slapos.recipe.cmmi",
        f"url = file://{path}",
        f"md5sum = {hashlib.md5(data).hexdigest()}",
        "configure-command = true",
        "make-options = PREFIX=@@LOCATION@@",
    ]
    return _written(bench, "burn-upstream.cfg", *_numbered(PARTS, sections))


def _numbered(count: int, sections: list[str]) -> tuple[list[str], list[str]]:
    names = [f"burn{number}" for number in range(count)]
    for name in names:
        sections += ["", f"[{name}]", "<= burn", f"title = {name}"]
    return ["parts =", *_indented(names)], sections


def size_of(directory: Path) -> tuple[int, int]:
    """Files and bytes below a directory."""
    files = [os.path.join(place, name) for place, _, names in os.walk(directory) for name in names]
    return len(files), sum(os.lstat(path).st_size for path in files)
