"""Starts a program as ``wrapper`` asks and a shell cannot: ``python -m slapos.cookbook.launcher … -- PROGRAM``.

``--tmpfs SIZE PATH``: an empty file system in memory at ``PATH``, which only the program and its children see.
``--stdout``, ``--stderr``: files that get its output.  This process then stays as its parent and hands over what it
writes; on SIGUSR1 the files are opened anew, so that they can be rotated, and ``--signal`` is sent to the program.
Every other signal is passed on, and the program's end is this one's.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import selectors
import signal
import sys
from collections.abc import Sequence

_NEW_NAMESPACE = 0x00020000
_NEW_USER = 0x10000000
_CHUNK = 64 * 1024
_PASSED_ON = ("HUP", "INT", "QUIT", "TERM", "USR2", "WINCH", "CONT")
_UNAVAILABLE = 71  # EX_OSERR


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the module says; the exit status of the program, or 128 + signal."""
    parser = argparse.ArgumentParser(prog="launcher", description="Starts a program with its own files and mounts.")
    parser.add_argument("--tmpfs", nargs=2, action="append", default=[], metavar=("SIZE", "PATH"))
    parser.add_argument("--stdout", default="", help="file that gets the output")
    parser.add_argument("--stderr", default="", help="file that gets the errors")
    parser.add_argument("--signal", default="", help="signal for the program when its files were opened anew")
    parser.add_argument("program", nargs="+")
    given = parser.parse_args(arguments)
    try:
        if given.tmpfs:
            mount_private(given.tmpfs)
        if not (given.stdout or given.stderr):
            os.execvp(given.program[0], given.program)
        return _Redirected(stdout=given.stdout, stderr=given.stderr, send=given.signal).run(given.program)
    except OSError as error:
        print(f"launcher: {error}", file=sys.stderr)  # noqa: T201 - the log of the service
        return _UNAVAILABLE


def mount_private(file_systems: Sequence[tuple[str, str]]) -> None:
    """Mount each (size, path) where only this process and its children see it; :class:`OSError` when it may not."""
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.unshare(_NEW_USER | _NEW_NAMESPACE), "a user namespace of its own")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as stream:
            stream.write(text)
    for size, path in file_systems:
        os.makedirs(path, exist_ok=True)
        options = f"size={size}".encode()
        _checked(libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", ctypes.c_ulong(0), options), path)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


class _Redirected:
    """The parent of a program whose output goes into files."""

    def __init__(self, *, stdout: str, stderr: str, send: str) -> None:
        self.send = signal.Signals[f"SIG{send}"] if send else None
        self.files: dict[int, tuple[str, int]] = {}  # our end of a pipe → path, descriptor of the file
        self.actions: list[tuple[int, int, int]] = []
        self.write_ends: list[int] = []
        self.wake, self.woken = os.pipe()
        if stdout:
            self._redirect(stdout, 1)
        if stderr and stderr == stdout:
            self.actions.append((os.POSIX_SPAWN_DUP2, 1, 2))
        elif stderr:
            self._redirect(stderr, 2)

    def _redirect(self, path: str, number: int) -> None:
        read_end, write_end = os.pipe()
        self.files[read_end] = (path, _opened(path))
        self.actions.append((os.POSIX_SPAWN_DUP2, write_end, number))
        self.write_ends.append(write_end)

    def run(self, program: list[str]) -> int:
        """Until the program ended and all that it wrote is in the files."""
        # Ignored until the program says what it does with it: a rotation at its start does not end it.
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        if self.send is not None:
            signal.signal(self.send, signal.SIG_IGN)
        own = [] if self.send == signal.SIGUSR1 else [signal.SIGUSR1]
        pid = os.posix_spawnp(program[0], program, os.environ, file_actions=self.actions, setsigdef=own)
        for end in self.write_ends:
            os.close(end)
        for name in _PASSED_ON:
            signal.signal(signal.Signals[f"SIG{name}"], lambda number, _: _tell(pid, number))
        signal.signal(signal.SIGUSR1, lambda *_: self._rotate(pid))
        self._copy()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return 128 - status if status < 0 else status

    def _rotate(self, pid: int) -> None:
        os.write(self.woken, b"\0")
        if self.send is not None:
            _tell(pid, self.send)

    def _copy(self) -> None:
        with selectors.DefaultSelector() as selector:
            for end in (self.wake, *self.files):
                selector.register(end, selectors.EVENT_READ)
            while self.files:
                # The wake-up first: what the program writes after its signal belongs into the new file.
                for key, _ in sorted(selector.select(), key=lambda found: found[0].fd != self.wake):
                    data = os.read(key.fd, _CHUNK)
                    if key.fd == self.wake:
                        self._reopen()
                    elif data:
                        _write(self.files[key.fd][1], data)
                    else:
                        selector.unregister(key.fd)
                        os.close(key.fd)
                        os.close(self.files.pop(key.fd)[1])

    def _reopen(self) -> None:
        for end, (path, file) in list(self.files.items()):
            self.files[end] = (path, _opened(path))
            os.close(file)


def _opened(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)


def _write(file: int, data: bytes) -> None:
    """A full disk loses lines of a log, never the service."""
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(file, data) :]


def _tell(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    sys.exit(main())
