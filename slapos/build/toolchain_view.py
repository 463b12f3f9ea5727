"""What of this machine a build may see: the programs, libraries and headers of named packages, and nothing else.

``/usr`` as a whole would offer each library that happens to be installed: a package's ``configure`` finds it, and the
result works on this machine only.  A view is a directory that takes the place of ``/usr``: a large directory that
holds files of these packages alone is mounted from the machine, what lies among others' files is copied.  A mount for
each file would do without copies, and takes bubblewrap 2.5 s per command.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from slapos.build import dpkg
from slapos.model.errors import MachineError
from slapos.system.files import make_directory
from slapos.system.locks import locked
from slapos.system.removal import remove_tree

PACKAGES = (
    *("gcc", "g++", "cpp", "binutils", "make", "libc6-dev", "linux-libc-dev"),
    *("coreutils", "bash", "dash", "sed", "grep", "mawk", "gawk", "findutils", "diffutils", "debianutils"),
    *("tar", "gzip", "bzip2", "xz-utils", "zstd", "patch", "perl", "file", "m4", "hostname", "bsdutils"),
    *("util-linux", "pkg-config", "pkgconf", "python3-minimal", "ncurses-base", "libc-bin"),
)
"""What each build sees, with what these need; what is not installed is not missed.  The first seven are versions in
the hash of a part (:func:`slapos.build.toolchain.host_toolchain`)."""

TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr")
_LEFT_OUT = ("doc", "man", "info", "locale", "lintian", "bug", "gdb", "bash-completion", "zsh")
_MOUNTED_FROM = 4 * 1024 * 1024
_KEPT_SECONDS = 14 * 24 * 3600


@dataclass(frozen=True)
class View:
    """``binds``: what the sandbox mounts, (place of the machine, place seen); ``links``: (target, place seen)."""

    binds: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]
    packages: frozenset[str] = frozenset()

    @property
    def is_exact(self) -> bool:
        """Whether it holds named packages only; False where all of ``/usr`` is seen, for lack of dpkg."""
        return bool(self.packages)

    def holds(self, path: str) -> bool:
        """Whether a program ``/usr/…`` is seen."""
        inside = (source for source, place in self.binds if place == "/usr")
        return any(os.path.lexists(source + path.removeprefix("/usr")) for source in inside)


@dataclass(frozen=True)
class _Contents:
    """``mounted`` directories, ``copied`` files with size and time (ns), ``links`` with targets, by path."""

    mounted: tuple[str, ...]
    copied: tuple[tuple[str, int, int], ...]
    links: tuple[tuple[str, str], ...]

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr((self.mounted, self.copied, self.links)).encode()).hexdigest()[:32]


def copies_of(uid: int) -> str:
    """Where a user keeps copies; to be removed with the user, since the number is given to others."""
    return f"/var/tmp/hyperopenx-toolchain-{uid}"


def views_directory(otherwise: str) -> str:
    """Where this user keeps copies for all stores; ``otherwise`` when nothing there may be executed."""
    path = copies_of(os.geteuid())
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o755)
        facts, flags = os.lstat(path), os.statvfs(path).f_flag
    except OSError:
        return otherwise
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise MachineError(
            f"{path} is not used for builds: others could change what lies there.",
            reference="unsafe-directory",
            context={"path": path},
            hint="Remove it.",
        )
    return otherwise if flags & os.ST_NOEXEC else path


def view_of_machine(directory: str, extra: Iterable[str] = ()) -> View:
    """The view of :data:`PACKAGES` and the packages ``extra``, its copies kept below ``directory``."""
    installed = dpkg.installed()
    packages = dpkg.closure(installed, (*PACKAGES, *extra))
    top = tuple((os.readlink(f"/{name}"), f"/{name}") for name in TOP if os.path.islink(f"/{name}"))
    if not packages or not os.path.islink("/bin"):  # no dpkg, or a machine of before the merged /usr
        whole = tuple((f"/{name}", f"/{name}") for name in TOP if os.path.isdir(f"/{name}"))
        return View(tuple(pair for pair in whole if not os.path.islink(pair[0])), top)
    contents = _contents(packages, os.stat(os.path.join(dpkg.DATABASE, "status")).st_mtime_ns)
    copy = _copied(contents, directory)
    binds = (os.path.join(copy, "usr"), "/usr"), *((path, path) for path in contents.mounted)
    return View(binds, top, packages)


@lru_cache(maxsize=4)
def _contents(packages: frozenset[str], changed: int) -> _Contents:
    """``changed``: when the database of packages was, so that the answer is kept no longer than it is right."""
    installed = dpkg.installed()
    owned: set[str] = set()
    places: dict[str, str] = {}
    for name in packages:
        for path in dpkg.files_of(installed[name]):
            parent, _, last = path.rpartition("/")
            if parent not in places:
                places[parent] = os.path.realpath(parent or "/")
            owned.add(os.path.join(places[parent], last))
    owned |= _alternatives(owned) | set(places.values())  # /usr/lib64 is known to dpkg as /lib64 only
    walk = _Walk(frozenset(owned))
    walk.enter("/usr")
    return _Contents(tuple(sorted(walk.mounted)), tuple(sorted(walk.copied)), tuple(sorted(walk.links)))


def _alternatives(owned: set[str]) -> set[str]:
    """Links such as ``/usr/bin/cc``, which no package owns, to what the packages hold."""
    found = set()
    for entry in _entries("/usr/bin"):
        alternative = entry.is_symlink() and os.readlink(entry.path).startswith("/etc/alternatives/")
        if alternative and os.path.realpath(entry.path) in owned:
            found.add(entry.path)
    return found


class _Walk:
    """Divides what is ``owned`` below a directory into what is mounted, copied and linked."""

    def __init__(self, owned: frozenset[str]) -> None:
        self.owned = owned
        self.mounted: list[str] = []
        self.copied: list[tuple[str, int, int]] = []
        self.links: list[tuple[str, str]] = []

    def enter(self, directory: str) -> None:
        for entry in _entries(directory):
            if entry.path not in self.owned or (directory == "/usr/share" and entry.name in _LEFT_OUT):
                continue
            if entry.is_symlink():
                self.links.append((entry.path, _target(entry.path)))
            elif not entry.is_dir():
                facts = entry.stat()
                if not os.access(entry.path, os.R_OK):
                    continue  # what only root may read, no build needs
                self.copied.append((entry.path, facts.st_size, facts.st_mtime_ns))
            elif self._bytes_if_whole(entry.path) >= _MOUNTED_FROM:
                self.mounted.append(entry.path)
            else:
                self.enter(entry.path)

    def _bytes_if_whole(self, directory: str) -> int:
        """The size of what lies below when all of it is owned, else 0."""
        total = 0
        for entry in _entries(directory):
            if entry.path not in self.owned:
                return 0
            if entry.is_dir(follow_symlinks=False):
                inside = self._bytes_if_whole(entry.path)
                if not inside:
                    return 0
                total += inside
            else:
                total += max(1, entry.stat(follow_symlinks=False).st_size)
        return max(1, total)


def _entries(directory: str) -> list[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        return list(entries)


def _target(link: str) -> str:
    """``/etc`` is not in a view: an alternative leads straight to what it stands for."""
    target = os.readlink(link)
    return os.path.realpath(link) if target.startswith("/etc/alternatives/") else target


def _copied(contents: _Contents, directory: str) -> str:
    """The directory with the copies of ``contents``, made when it is not there or not whole."""
    place = os.path.join(directory, contents.digest)
    if not _is_whole(contents, place):
        make_directory(directory, 0o755)
        with locked(f"{place}.lock", 120.0, "The view of the toolchain"):
            if not _is_whole(contents, place):
                remove_tree(place)
                _copy(contents, f"{place}.new")
                os.rename(f"{place}.new", place)
                _remove_unused(directory, place)
    os.utime(place)
    return place


def _is_whole(contents: _Contents, place: str) -> bool:
    """Each copy is there with its size and time: somebody may clean up where copies are kept."""
    for path, size, changed in contents.copied:
        try:
            facts = os.lstat(place + path)
        except OSError:
            return False
        if (facts.st_size, facts.st_mtime_ns) != (size, changed):
            return False
    return all(os.path.lexists(place + path) for path, _ in contents.links) and all(
        os.path.isdir(place + path) for path in contents.mounted
    )


def _copy(contents: _Contents, place: str) -> None:
    remove_tree(place)
    for path in contents.mounted:
        os.makedirs(place + path)
    for path, target in contents.links:
        os.makedirs(os.path.dirname(place + path), exist_ok=True)
        os.symlink(target, place + path)
    for path, _, changed in contents.copied:
        os.makedirs(os.path.dirname(place + path), exist_ok=True)
        shutil.copyfile(path, place + path)
        os.chmod(place + path, os.stat(path).st_mode & 0o755)  # nobody becomes root in a build
        os.utime(place + path, ns=(changed, changed))


def _remove_unused(directory: str, kept: str) -> None:
    """Views of toolchains that this machine had, and nobody built with for a while."""
    for entry in _entries(directory):
        old = time.time() - entry.stat(follow_symlinks=False).st_mtime > _KEPT_SECONDS
        if old and entry.path != kept and entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
