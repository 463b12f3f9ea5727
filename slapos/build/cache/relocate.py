"""Moves a part to another place: rewrites the paths of stored parts in its links, texts, run paths and programs.

A path inside a program can be replaced in place by one that is not longer.  By a longer one it cannot; then the part
moves only when its section says ``relocatable = true``, because somebody saw it run without what was compiled in.  In
the place of such a path comes one as long below ``/dev/null``, where nothing can ever be: the former place may belong
to somebody else some day.

In place means that neither the length nor the end (``/<digest>``) of a path changes: a linker lets a program's other
texts begin within a longer one that ends alike, and formats that are not C strings know the lengths of theirs.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from slapos.build.cache.elf import MAGIC, RunPaths, run_paths
from slapos.build.cache.manifest import Manifest
from slapos.build.cache.paths import BYTECODE, COMPILED, LINK, OTHER, RUN_PATH, TEXT, named_paths, source_of
from slapos.build.store.inputs import RELOCATABLE
from slapos.model.errors import BuildFailed
from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, check_run

_NOWHERE = b"/dev/null/"
_INTERPRETER_LINE = 255  # bytes of the first line of a script that Linux reads
_SECONDS = 60.0


@dataclass(frozen=True)
class Relocation:
    """``moves``: old → new location of each part that is named and lies elsewhere now; ``obstacles``: sentences."""

    moves: Mapping[str, str]
    obstacles: tuple[str, ...] = ()

    @property
    def pattern(self) -> re.Pattern[bytes]:
        """Finds the old locations."""
        return re.compile(b"|".join(re.escape(os.fsencode(old)) for old in self.moves))

    def replaced(self, data: bytes) -> bytes:
        """``data`` with every old location replaced."""
        new = {os.fsencode(old): os.fsencode(place) for old, place in self.moves.items()}
        return self.pattern.sub(lambda found: new[found[0]], data)

    @property
    def lengthens(self) -> bool:
        """Whether a path becomes longer."""
        return any(len(os.fsencode(new)) > len(os.fsencode(old)) for old, new in self.moves.items())

    def refused(self, manifest: Manifest) -> BuildFailed:
        """The error that says what stands in the way."""
        return _refused(manifest, "; ".join(self.obstacles))


def plan_relocation(manifest: Manifest, location: str, parts: Mapping[str, str]) -> Relocation:
    """What moving the part to ``location`` asks for; ``parts``: where each part that it references lies here."""
    old = {manifest.location: location, **{manifest.references[name]: parts[name] for name in manifest.references}}
    moves = {before: now for before, now in old.items() if before != now}
    return Relocation(moves, tuple(_obstacles(manifest, Relocation(moves))) if moves else ())


def _obstacles(manifest: Manifest, relocation: Relocation) -> Iterator[str]:
    kinds = set(manifest.paths.values())
    if RUN_PATH in kinds | _elf_kinds(kinds) and shutil.which("patchelf") is None:
        yield "the program patchelf is not installed"
    fixed = {OTHER, COMPILED} if relocation.lengthens else {OTHER}
    names = sorted(name for name, kind in manifest.paths.items() if kind in fixed)
    if names and not _declared(manifest):
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"the path of the store is written into {names[0]}{more}, where it cannot be replaced by this one"


def _declared(manifest: Manifest) -> bool:
    return manifest.inputs.options.get(RELOCATABLE) == "true"


def _elf_kinds(kinds: set[str]) -> set[str]:
    """A program into which a path is compiled mostly has a run path too."""
    return {RUN_PATH} if COMPILED in kinds else set()


def relocate(tree: str, manifest: Manifest, relocation: Relocation) -> None:
    """Change the files of ``tree`` (writable, content checked).  Bytecode may name its source: only tracebacks show it.

    :class:`BuildFailed` ``not-relocatable`` when something stands in the way, or an old path is left.
    """
    if not relocation.moves:
        return
    if relocation.obstacles:
        raise relocation.refused(manifest)
    for name, kind in named_paths(tree, relocation.moves).items():
        _CHANGES[kind](os.path.join(tree, name), relocation)
    _drop_stale_bytecode(tree, manifest)
    left = [name for name, kind in named_paths(tree, relocation.moves).items() if kind != BYTECODE]
    if left:
        raise _refused(manifest, f"{left[0]} still names the place where it was built")


def _drop_stale_bytecode(tree: str, manifest: Manifest) -> None:
    """Of sources that changed: it holds what they said before."""
    for name, kind in manifest.paths.items():
        if kind == BYTECODE and manifest.paths.get(source_of(name)) == TEXT:
            os.unlink(os.path.join(tree, name))


def _change_link(path: str, relocation: Relocation) -> None:
    target = relocation.replaced(os.fsencode(os.readlink(path)))
    os.unlink(path)
    os.symlink(target, os.fsencode(path))


def _change_text(path: str, relocation: Relocation) -> None:
    with open(path, "rb") as stream:
        data = relocation.replaced(stream.read())
    first = data.partition(b"\n")[0]
    if first.startswith(b"#!") and len(first) > _INTERPRETER_LINE:
        raise BuildFailed(
            f"{path} is not moved: its first line would name an interpreter with more than {_INTERPRETER_LINE} bytes.",
            reference="not-relocatable",
            context={"path": path},
            hint="It is built here instead; a store with a shorter path can take it.",
        )
    _write(path, data)


def _change_run_path(path: str, relocation: Relocation) -> None:
    before = _run_paths(path)
    wanted = replace(
        before,
        run_path=relocation.replaced(before.run_path),
        interpreter=relocation.replaced(before.interpreter),
    )
    if wanted == before:
        return
    words = ["--force-rpath"] if before.old_kind else []
    if wanted.run_path != before.run_path:
        words += ["--set-rpath", os.fsdecode(wanted.run_path)]
    if wanted.interpreter != before.interpreter:
        words += ["--set-interpreter", os.fsdecode(wanted.interpreter)]
    check_run(["patchelf", *words, path], launch=Launch(environment=CLEAN_ENVIRONMENT), timeout=_SECONDS)
    if _run_paths(path) != wanted:
        raise BuildFailed(
            f"{path} is not moved: patchelf did not give it the run path that it was to get.",
            reference="not-relocatable",
            context={"path": path, "wanted": os.fsdecode(wanted.run_path)},
            hint="It is built here instead.",
        )


def _run_paths(path: str) -> RunPaths:
    with open(path, "rb") as stream:
        return run_paths(stream.read())


def _change_compiled(path: str, relocation: Relocation) -> None:
    """Run paths first; what is left in place."""
    with open(path, "rb") as stream:
        is_elf = stream.read(len(MAGIC)) == MAGIC
    if is_elf:
        _change_run_path(path, relocation)
    _change_in_place(path, relocation)


def _change_in_place(path: str, relocation: Relocation) -> None:
    with open(path, "rb") as stream:
        data = stream.read()
    new = {os.fsencode(old): in_place(os.fsencode(old), os.fsencode(place)) for old, place in relocation.moves.items()}
    _write(path, relocation.pattern.sub(lambda found: new[found[0]], data))


def in_place(old: bytes, new: bytes) -> bytes:
    """What is written over the location ``old``, as long and with the same end: ``new`` with more slashes where it
    fits, else a path at which nothing can ever be."""
    root, part, digest = new.rsplit(b"/", 2)
    if len(new) <= len(old):
        return root + b"/" * (len(old) - len(new) + 1) + part + b"/" + digest
    end = b"/" + old.rpartition(b"/")[2]
    if len(old) < len(_NOWHERE) + len(end):
        raise BuildFailed(
            f"{os.fsdecode(old)} is too short a path for anything to take its place in a program.",
            reference="not-relocatable",
            context={"location": os.fsdecode(old)},
            hint="It is built here instead.",
        )
    return _NOWHERE.ljust(len(old) - len(end), b"-") + end


def _keep(path: str, relocation: Relocation) -> None:
    pass


_CHANGES = {
    LINK: _change_link,
    TEXT: _change_text,
    RUN_PATH: _change_run_path,
    BYTECODE: _keep,
    COMPILED: _change_compiled,
    OTHER: _change_in_place,
}


def _write(path: str, data: bytes) -> None:
    """In a new file: hard links of ours are none, but a file that somebody reads stays as it is."""
    mode = os.stat(path).st_mode & 0o777
    os.unlink(path)
    with open(path, "xb") as stream:
        stream.write(data)
    os.chmod(path, mode)


def _refused(manifest: Manifest, why: str) -> BuildFailed:
    return BuildFailed(
        f"{manifest.name} was built at {manifest.location} and cannot be moved: {why}.",
        reference="not-relocatable",
        context={"part": manifest.inputs.part, "location": manifest.location},
        hint="It is built here instead.",
    )
